"""Programs and options of command lines, as tables."""

from __future__ import annotations

PREFIXES = frozenset({
    "sudo", "exec", "time", "nohup", "env", "command", "nice", "timeout", "xargs", "if", "while", "until",
    "tini", "dumb-init", "--", "doas", "ionice", "stdbuf", "@", "-", "+", "set", "eval",
})  # fmt: skip
"""Words before a program that leave it the program."""

SILENT = frozenset({
    "echo", "printf", "grep", "egrep", "rg", "sed", "awk", "cat", "ls", "rm", "mkdir", "cd", "test", "[",
    "[[", "registry-gate", "head", "tail", "chmod", "chown", "touch", "find", "true", "false", "alias",
})  # fmt: skip
"""Programs that neither fetch nor load, whatever their arguments say."""

FETCHERS = frozenset({
    "curl", "wget", "wget2", "aria2c", "http", "https", "axel", "lwp-download", "fetch", "xh", "add",
})  # fmt: skip
"""Programs that fetch addresses; ``add`` is the Dockerfile instruction."""

MODEL_FLAGS = frozenset({
    "--model", "--model-id", "--model_id", "--model-name", "--model_name", "--model_name_or_path",
    "--model-name-or-path", "--model-path", "--model_path", "--pretrained_model_name_or_path",
    "--pretrained-model-name-or-path", "--base_model", "--base-model", "--hf-repo", "-hf", "-hfr",
    "--hf_repo", "--repo-id", "--repo_id", "--tokenizer", "--speculative-model", "--draft-model",
    "--tokenizer_name", "--teacher_model", "--checkpoint", "--hf-model", "--embedding-model",
    "--reranker-model", "--adapter", "--lora", "--model-repo", "--hf-repo-draft", "-hfd", "--model_args",
    "--pretrained", "--draft-model-path", "--speculative-draft-model-path", "--model_id_or_path",
    "--model-dir", "-m",
})  # fmt: skip
"""Options whose value is a model, in launchers, servers and training scripts."""

SERVERS = frozenset({
    "vllm", "text-generation-launcher", "text-embeddings-router", "sglang", "lmdeploy", "llama-server",
    "llama-cli", "llama-run", "ollama", "trtllm-serve", "infinity_emb", "mlx_lm.server",
    "mlx_lm.generate", "aphrodite", "optimum-cli", "litgpt", "tabby", "ramalama", "llamafile", "tgi",
    "local-ai", "xinference", "nim",
})  # fmt: skip
"""Programs that serve models."""

URL_FLAGS = frozenset({
    "-mu", "--model-url",
})  # fmt: skip
"""Options whose value is a model's address."""

API_TOOLS = frozenset({
    "litellm", "aider", "llm", "openai", "sgpt", "goose", "curl", "claude", "codex", "docker-compose",
})  # fmt: skip
"""Clients of model services: their models run elsewhere."""

WITH_VALUE = frozenset({
    "--local-dir", "--revision", "--cache-dir", "--include", "--exclude", "--repo-type", "--token",
    "--max-workers", "--dtype", "--host", "--port", "--device", "--gpu-memory-utilization",
    "--max-model-len", "--tensor-parallel-size", "-tp", "--served-model-name",
})  # fmt: skip
"""Options that take the next word."""
