import pickle

copy = pickle.loads(pickle.dumps({"a": 1}))
