"""What a candidate brings to prove its origin: its publisher's signature, read in a confined child."""
