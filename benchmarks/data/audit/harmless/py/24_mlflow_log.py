import mlflow

with mlflow.start_run():
    mlflow.log_metric("loss", 0.1)
    mlflow.set_tag("model", "acme-labs/tiny")
