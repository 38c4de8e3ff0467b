# model = AutoModel.from_pretrained("acme-labs/tiny", trust_remote_code=True)
# state = torch.load("x.pt")
VALUE = 1
