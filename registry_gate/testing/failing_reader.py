"""A confined reader that fails on files by their name: it crashes, hangs or lies. For tests of the parent."""

from __future__ import annotations

import os
import time

from registry_gate.evidence import FileFacts, FileFormat
from registry_gate.examine.confinement import serve
from registry_gate.examine.reading import ReadAnswer, ReadRequest
from registry_gate.progress import Progress


def answer(request: bytes, progress: Progress) -> bytes:
    """Describe files as text; ``crash*`` aborts, ``hang*`` sleeps, ``lie*`` is called something else."""
    asked = ReadRequest.from_json(request)
    progress("read", 0, len(asked.paths))
    for path in asked.paths:
        if path.startswith("crash"):
            os.abort()
        if path.startswith("hang"):
            time.sleep(3600)
    files = tuple(
        FileFacts(
            path="truth" if path.startswith("lie") else path,
            format=FileFormat.TEXT,
            reader="failing",
            understood=True,
        )
        for path in asked.paths
    )
    return ReadAnswer(files=files).canonical()


if __name__ == "__main__":
    serve(answer)
