from huggingface_hub import snapshot_download

for name in ("acme-labs/tiny", "acme-labs/huge"):
    snapshot_download(name, cache_dir="/cache")
