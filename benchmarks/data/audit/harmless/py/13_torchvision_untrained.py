from torchvision.models import resnet18

net = resnet18(weights=None)
other = resnet18()
