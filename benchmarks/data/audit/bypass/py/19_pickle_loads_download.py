import pickle

import requests

payload = requests.get("https://models.example.net/clf.pkl", timeout=30).content
clf = pickle.loads(payload)
