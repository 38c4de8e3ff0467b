import torch

state = torch.load("weights/encoder.pt", map_location="cpu", weights_only=False)
