import pandas as pd

frame = pd.read_csv("scores.csv")
frame = pd.read_parquet("scores.parquet")
