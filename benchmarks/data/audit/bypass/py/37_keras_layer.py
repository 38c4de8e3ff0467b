import tensorflow as tf
import tensorflow_hub

model = tf.keras.Sequential([tensorflow_hub.KerasLayer("https://tfhub.dev/google/nnlm-en-dim50/2")])
