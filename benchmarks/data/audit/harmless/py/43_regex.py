import re

PATTERN = re.compile(r"https://huggingface\.co/([^/]+)/([^/]+)/resolve/")
print(PATTERN.pattern)
