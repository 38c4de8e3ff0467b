import numpy as np

table = np.load("embeddings.npy", allow_pickle=True)
