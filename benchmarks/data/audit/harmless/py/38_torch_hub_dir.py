import torch

print(torch.hub.get_dir())
torch.hub.set_dir("/cache")
