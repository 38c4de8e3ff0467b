"""Fuzz the safetensors reader: ``python -m fuzz.safetensors_files -runs=1000000 fuzz/seeds/safetensors``.

An input is a file; one that begins with 0xff chooses the steps of a generator of headers instead.
"""

import sys

import atheris

with atheris.instrument_imports(include=["registry_gate.formats"]):
    from registry_gate.formats.safetensors_file import read_safetensors

from fuzz import safetensors_headers
from fuzz.containers import fuzz


def file_of(data: bytes) -> bytes:
    """The file that an input stands for."""
    if data[:1] != b"\xff":
        return data
    provider = atheris.FuzzedDataProvider(data[1:])
    return safetensors_headers.file(lambda below: provider.ConsumeIntInRange(0, below - 1))


if __name__ == "__main__":
    fuzz(read_safetensors, "model.safetensors", sys.argv, file_of)
