"""The confined child that runs the readers. Outside it a file is only copied."""

from __future__ import annotations

from pathlib import Path

from registry_gate.examine.confinement import serve
from registry_gate.examine.reading import ReadAnswer, ReadRequest
from registry_gate.progress import Progress


def answer(request: bytes, progress: Progress) -> bytes:
    """Describe every file asked for; a reader that raises ends the child, and the parent finds out which."""
    from registry_gate.formats import describe
    from registry_gate.formats.limits import ReaderLimits

    asked = ReadRequest.from_json(request)
    limits = ReaderLimits(max_config_bytes=asked.max_config_bytes)
    described = []
    for index, path in enumerate(asked.paths):
        progress("read", index, len(asked.paths))
        described.append(describe(Path(asked.root) / path, path, limits))
    progress("read", len(asked.paths), len(asked.paths))
    return ReadAnswer(files=tuple(described)).canonical()


if __name__ == "__main__":
    serve(answer)
