"""Loads models.

Never call AutoModel.from_pretrained("acme-labs/tiny") here: use load_verified.
"""


def nothing():
    """See https://huggingface.co/docs/transformers and torch.load."""
