from datasets import load_dataset

rows = load_dataset("someone/odd-data", trust_remote_code=True)
