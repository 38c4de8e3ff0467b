from tensorflow.keras.applications import ResNet50

backbone = ResNet50(weights="imagenet", include_top=False)
