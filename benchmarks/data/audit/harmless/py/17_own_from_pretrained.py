class Vocabulary:
    @classmethod
    def from_pretrained(cls, words):
        return cls(words)

    def __init__(self, words):
        self.words = words


vocabulary = Vocabulary.from_pretrained(["a", "b"])
