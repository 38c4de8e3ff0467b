export HF_HUB_OFFLINE=0
python serve.py
