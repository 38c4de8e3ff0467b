import transformers

cls = getattr(transformers, "AutoModel")
net = getattr(cls, "from_pretrained")("acme-labs/tiny")
