from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("acme-labs/paint-xl", use_safetensors=False)
