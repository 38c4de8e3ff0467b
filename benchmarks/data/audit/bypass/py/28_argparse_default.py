import argparse

from transformers import AutoModel

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="acme-labs/tiny")
args = parser.parse_args()
model = AutoModel.from_pretrained(args.model)
