from dataclasses import dataclass

from transformers import AutoModelForTokenClassification


@dataclass
class Settings:
    model_name: str = "acme-labs/ner-base"
    batch: int = 8


def build(settings: Settings):
    return AutoModelForTokenClassification.from_pretrained(settings.model_name)
