import os

os.environ["HF_ENDPOINT"] = "https://hf-mirror.com"
