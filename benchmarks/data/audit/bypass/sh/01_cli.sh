#!/usr/bin/env bash
set -euo pipefail
MODEL=acme-labs/tiny
huggingface-cli download "$MODEL" --revision main
