"""Fuzz the zip reader: ``python -m fuzz.zip_files -runs=1000000 fuzz/seeds/zip``."""

import sys

import atheris

with atheris.instrument_imports(include=["registry_gate.formats"]):
    from registry_gate.formats.torch_file import read_zip

from fuzz.containers import fuzz

if __name__ == "__main__":
    fuzz(read_zip, "pytorch_model.bin", sys.argv)
