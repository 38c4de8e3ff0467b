from onnx import hub

model = hub.load("resnet50")
