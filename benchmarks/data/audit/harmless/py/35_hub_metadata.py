from huggingface_hub import model_info

print(model_info("acme-labs/tiny").sha)
