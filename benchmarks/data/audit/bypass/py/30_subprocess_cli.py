import subprocess

subprocess.run(["huggingface-cli", "download", "acme-labs/tiny", "--local-dir", "m"], check=True)
