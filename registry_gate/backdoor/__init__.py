"""Backdoor statistics: maths only. Tensors and a logits function go in, frozen statistics come out."""
