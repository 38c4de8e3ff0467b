import torch

midas = torch.hub.load("intel-isl/MiDaS", "MiDaS_small", trust_repo=True)
