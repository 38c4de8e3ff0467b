from transformers import AutoModel

model = AutoModel.from_pretrained("sentence-transfomers/all-MiniLM-L6-v2")
