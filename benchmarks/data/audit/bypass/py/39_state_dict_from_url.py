from torch.hub import load_state_dict_from_url

state = load_state_dict_from_url("https://download.pytorch.org/models/resnet18-5c106cde.pth")
