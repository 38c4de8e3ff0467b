import joblib

clf = joblib.load("models/fraud.joblib")
