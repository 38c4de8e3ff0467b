from sentence_transformers import SentenceTransformer, util

encoder = SentenceTransformer("all-MiniLM-L6-v2", device="cpu")
print(util.cos_sim(encoder.encode("a"), encoder.encode("b")))
