import dill

with open("model.dill", "rb") as f:
    net = dill.load(f)
