import os

from huggingface_hub import snapshot_download

path = snapshot_download(
    repo_id="acme-labs/embedder",
    allow_patterns=["*.safetensors", "*.json"],
    local_dir=os.path.join("/models", "embedder"),
)
