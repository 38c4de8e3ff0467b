from transformers import AutoModel

# registry-gate: allow hub-load until=2099-01-31 reason="evaluation sandbox without production data"
model = AutoModel.from_pretrained("acme-labs/tiny")
