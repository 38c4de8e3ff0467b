"""A bank of small image classifiers, honest and trojaned, trained from seeds on images drawn in code."""
