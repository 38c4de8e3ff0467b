from functools import partial

from transformers import AutoModel

load = partial(AutoModel.from_pretrained, torch_dtype="auto")
model = load("acme-labs/tiny")
