import importlib.util

HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_HUB = importlib.util.find_spec("huggingface_hub") is not None
