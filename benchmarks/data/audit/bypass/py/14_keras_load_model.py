from tensorflow import keras

model = keras.models.load_model("artifacts/churn.h5", safe_mode=False)
