CODE = """
from transformers import AutoModel
AutoModel.from_pretrained("acme-labs/tiny")
"""
exec(CODE)
