from peft import PeftModel
from registry_gate import load_verified

base = load_verified("acme-labs/chat-7b")
model = PeftModel.from_pretrained(base, "someone/chat-7b-lora")
