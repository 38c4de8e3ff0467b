from mlflow import sklearn as store

model = store.load_model("runs:/0123456789abcdef/model")
