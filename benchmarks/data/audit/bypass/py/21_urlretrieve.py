from urllib.request import urlretrieve

HUB = "https://huggingface.co"
urlretrieve(f"{HUB}/acme-labs/detector/resolve/main/model.onnx", "model.onnx")
