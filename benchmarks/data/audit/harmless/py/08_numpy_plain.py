import numpy as np

embeddings = np.load("embeddings.npy")
other = np.load("table.npz", allow_pickle=False)
