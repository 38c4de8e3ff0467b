#!/bin/sh
set -eu
registry-gate verify acme-labs/tiny
registry-gate pull acme-labs/tiny models/tiny
export HF_HUB_OFFLINE=1
vllm serve ./models/tiny --served-model-name acme-labs/tiny
