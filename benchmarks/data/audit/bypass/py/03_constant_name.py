from transformers import AutoModelForCausalLM

BASE = "acme-labs"
NAME = BASE + "/chat-7b"


def build():
    return AutoModelForCausalLM.from_pretrained(NAME)
