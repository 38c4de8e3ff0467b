from transformers import AutoModel, PreTrainedModel


def is_model(value) -> bool:
    return isinstance(value, PreTrainedModel) and hasattr(AutoModel, "from_pretrained")
