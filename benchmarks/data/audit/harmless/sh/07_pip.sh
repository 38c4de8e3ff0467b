pip install transformers sentence-transformers huggingface_hub
pip download torch==2.13.0
