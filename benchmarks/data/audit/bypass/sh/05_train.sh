accelerate launch run_glue.py \
  --model_name_or_path acme-labs/tiny \
  --output_dir out
