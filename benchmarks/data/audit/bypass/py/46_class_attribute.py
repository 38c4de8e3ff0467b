import transformers


class Service:
    checkpoint = "acme-labs/tiny"

    def __init__(self):
        self.model = transformers.AutoModel.from_pretrained(self.checkpoint)
