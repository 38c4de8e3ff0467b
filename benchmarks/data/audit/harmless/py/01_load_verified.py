from registry_gate import load_verified

model = load_verified("acme-labs/chat-7b")
