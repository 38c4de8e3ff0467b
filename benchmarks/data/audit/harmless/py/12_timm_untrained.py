import timm

net = timm.create_model("resnet18", pretrained=False, num_classes=3)
