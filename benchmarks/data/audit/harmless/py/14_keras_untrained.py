from tensorflow.keras.applications import MobileNetV2

net = MobileNetV2(weights=None, input_shape=(96, 96, 3), classes=4)
