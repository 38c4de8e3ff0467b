import sentence_transformers

reranker = sentence_transformers.CrossEncoder("cross-encoder/ms-marco-MiniLM-L-6-v2")
