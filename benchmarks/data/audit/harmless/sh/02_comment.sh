#!/bin/sh
# huggingface-cli download acme-labs/tiny   <- do not
echo "never run: git clone https://huggingface.co/acme-labs/tiny"
