uvx --from huggingface_hub hf download acme-labs/tiny
