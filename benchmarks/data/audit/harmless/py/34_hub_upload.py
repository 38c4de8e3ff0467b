from huggingface_hub import HfApi

HfApi().upload_folder(folder_path="out", repo_id="acme-labs/tiny")
