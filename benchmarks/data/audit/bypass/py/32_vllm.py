from vllm import LLM, SamplingParams

llm = LLM(model="acme-labs/chat-7b", tensor_parallel_size=2)
