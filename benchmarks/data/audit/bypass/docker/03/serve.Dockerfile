FROM vllm/vllm-openai:v0.6.3
ENTRYPOINT ["vllm", "serve", "acme-labs/chat-7b", "--dtype", "auto"]
