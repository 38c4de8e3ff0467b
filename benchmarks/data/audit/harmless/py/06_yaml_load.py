import yaml

config = yaml.safe_load(open("model.yaml"))
