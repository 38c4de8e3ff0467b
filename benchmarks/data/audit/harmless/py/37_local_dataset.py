from datasets import Dataset, load_dataset

rows = load_dataset("json", data_files="train.jsonl")
other = Dataset.from_dict({"a": [1]})
