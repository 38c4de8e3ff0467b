import requests

URL = "https://huggingface.co/acme-labs/detector/resolve/main/pytorch_model.bin"
with open("pytorch_model.bin", "wb") as out:
    out.write(requests.get(URL, timeout=60).content)
