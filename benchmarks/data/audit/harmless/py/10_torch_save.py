import torch

torch.save({"w": torch.ones(2)}, "out.pt")
