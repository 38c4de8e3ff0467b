import pandas as pd

frame = pd.read_pickle("hf://someone/scores/scaler.pkl")
