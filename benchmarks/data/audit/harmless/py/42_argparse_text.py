import argparse

parser = argparse.ArgumentParser(description="Use load_verified, not from_pretrained or torch.load.")
parser.add_argument("--trust-remote-code", action="store_false")
