FROM example/vllm@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
ENV HF_HUB_OFFLINE=1
ENTRYPOINT ["vllm", "serve", "org/model", "--revision", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "--host", "127.0.0.1"]
CMD ["--max-model-len=4096", "--max-num-seqs=8", "--load-format=safetensors", "--allowed-origins=https://a.example"]
