"""Networks that are built here by name; see :mod:`registry_gate.architectures.builtin`."""
