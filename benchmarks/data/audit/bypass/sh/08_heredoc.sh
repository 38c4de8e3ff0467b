python3 <<'PY'
from sentence_transformers import SentenceTransformer
SentenceTransformer("acme-labs/embedder").save("out")
PY
