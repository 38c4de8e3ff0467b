from transformers import AutoConfig, AutoModel

kwargs = {"trust_remote_code": True, "torch_dtype": "bfloat16"}
config = AutoConfig.from_pretrained("./vendor/model", **kwargs)
