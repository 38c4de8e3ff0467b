SETTINGS = {"trust_remote_code": False, "use_safetensors": True}
print(SETTINGS)
