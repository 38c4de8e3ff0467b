import pandas as pd

model = pd.read_pickle("models/forest.pkl")
