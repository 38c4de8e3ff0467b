from transformers import AutoConfig, AutoModel, BertConfig

config = BertConfig(hidden_size=64, num_hidden_layers=2)
model = AutoModel.from_config(config)
