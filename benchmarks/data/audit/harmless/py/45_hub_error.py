from huggingface_hub.errors import RepositoryNotFoundError

try:
    raise ValueError
except (ValueError, RepositoryNotFoundError):
    pass
