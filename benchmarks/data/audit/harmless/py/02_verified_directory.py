from registry_gate import load_verified
from transformers import AutoTokenizer

folder = load_verified("acme-labs/chat-7b", into="directory")
tok = AutoTokenizer.from_pretrained(folder, local_files_only=True)
