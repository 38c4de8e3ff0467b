import transformers as tf

tok = tf.AutoTokenizer.from_pretrained("acme-labs/sentiment-base", revision="main")
