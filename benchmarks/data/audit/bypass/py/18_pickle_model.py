import pickle
from pathlib import Path

MODEL = Path(__file__).parent / "model.pkl"

with MODEL.open("rb") as file:
    model = pickle.load(file)
