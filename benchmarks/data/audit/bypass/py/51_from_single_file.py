from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_single_file(
    "https://huggingface.co/someone/paint/blob/main/paint.ckpt"
)
