"""A bank of small text classifiers, clean and trojaned, and what the text test makes of them."""
