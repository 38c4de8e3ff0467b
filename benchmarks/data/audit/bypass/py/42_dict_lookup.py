from transformers import AutoModel

MODELS = {"small": "acme-labs/tiny", "large": "acme-labs/huge"}


def choose(size):
    return AutoModel.from_pretrained(MODELS[size])
