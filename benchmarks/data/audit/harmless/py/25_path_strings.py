from pathlib import Path

ROOT = Path("src/models")
FILES = ["data/train.csv", "app/main.py", "text/plain", "application/json"]
print(ROOT, FILES)
