HELP = "Read https://huggingface.co/docs/hub/security-pickle before you open a ticket."
print(HELP)
