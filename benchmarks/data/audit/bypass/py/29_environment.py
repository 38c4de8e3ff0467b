import os

from transformers import AutoModel

model = AutoModel.from_pretrained(os.environ.get("MODEL_ID", "acme-labs/tiny"))
