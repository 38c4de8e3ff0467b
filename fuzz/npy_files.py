"""Fuzz the npy reader: ``python -m fuzz.npy_files -runs=1000000 fuzz/seeds/npy``."""

import sys

import atheris

with atheris.instrument_imports(include=["registry_gate.formats"]):
    from registry_gate.formats.numpy_file import read_numpy

from fuzz.containers import fuzz

if __name__ == "__main__":
    fuzz(read_numpy, "a.npy", sys.argv)
