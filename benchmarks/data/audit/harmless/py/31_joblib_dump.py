import joblib

joblib.dump({"a": 1}, "out.joblib")
results = joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(i) for i in range(3))
