"""The consumer's side: nothing is parsed before it is verified. Standard library only at import."""

from registry_gate.client.load import load_verified, verify

__all__ = ["load_verified", "verify"]
