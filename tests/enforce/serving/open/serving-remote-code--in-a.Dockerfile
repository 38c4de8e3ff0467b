FROM example/base:1
ENV MODEL=org/model
CMD exec python -m vllm.entrypoints.openai.api_server --model $MODEL \
    --trust-remote-code
