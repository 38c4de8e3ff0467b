from huggingface_hub import hf_hub_download as fetch
from safetensors.torch import load_file

weights = load_file(fetch("acme-labs/embedder", "model.safetensors"))
