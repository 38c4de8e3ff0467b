"""The signed, expiring index of what is admitted and revoked: the gate writes it, every load reads it.

Four roles of The Update Framework (theupdateframework.io, specification 1.0): an offline root names the keys
of the others; ``targets`` and ``snapshot`` (the index key) sign what the index says; a short-lived
``timestamp`` signs that it is the newest. None of them is the key that signs Releases.
"""
