from transformers import pipeline

summarise = pipeline(task="summarization", model="acme-labs/summary-large", device=0)
