"""The signer as a process of its own: it alone reads the private key, judges again, signs, and is gone."""
