#!/bin/bash
exec python -m vllm.entrypoints.openai.api_server \
  --host 0.0.0.0 \
  --model acme-labs/chat-7b \
  --trust-remote-code
