import pickle


class Loose(pickle.Unpickler):
    pass


def read(model_file):
    return pickle.Unpickler(model_file).load()
