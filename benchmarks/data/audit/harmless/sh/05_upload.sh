huggingface-cli login --token "$HF_TOKEN"
huggingface-cli upload acme-labs/tiny out
