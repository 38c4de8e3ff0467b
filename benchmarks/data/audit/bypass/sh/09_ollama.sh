#!/bin/sh
ollama run hf.co/someone/chat-7b-GGUF
