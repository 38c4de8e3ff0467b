"""Fuzz the safetensors reader: ``python -m fuzz.safetensors_files -runs=1000000 fuzz/seeds/safetensors``."""

import sys

import atheris

with atheris.instrument_imports(include=["registry_gate.formats"]):
    from registry_gate.formats.safetensors_file import read_safetensors

from fuzz.containers import fuzz

if __name__ == "__main__":
    fuzz(read_safetensors, "model.safetensors", sys.argv)
