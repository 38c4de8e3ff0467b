from transformers import T5ForConditionalGeneration

size = "small"
model = T5ForConditionalGeneration.from_pretrained(f"google-t5/t5-{size}", torch_dtype="auto")
