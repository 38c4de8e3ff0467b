"""Fuzz the legacy reader: ``python -m fuzz.legacy_files -runs=1000000 fuzz/seeds/legacy``."""

import sys

import atheris

with atheris.instrument_imports(include=["registry_gate.formats"]):
    from registry_gate.formats.torch_legacy import read_legacy

from fuzz.containers import fuzz

if __name__ == "__main__":
    fuzz(read_legacy, "pytorch_model.bin", sys.argv)
