import requests

answer = requests.get("https://api.example.net/v1/models", timeout=10).json()
