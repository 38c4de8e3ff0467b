MODEL = "acme-labs/chat-7b"
print(f"serving {MODEL}")
