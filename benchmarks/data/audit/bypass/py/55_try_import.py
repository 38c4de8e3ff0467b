try:
    from transformers import AutoModelForCausalLM as LM
except ImportError:
    LM = None

if LM is not None:
    chat = LM.from_pretrained("acme-labs/chat-7b", low_cpu_mem_usage=True)
