"""The confined signer: no network, nothing to write to, and of the user's files only key and trust."""

from __future__ import annotations

from registry_gate.examine.confinement import serve
from registry_gate.progress import Progress


def carry_out(request: bytes, _progress: Progress) -> bytes:
    """Imported only now, so that nothing started a thread before the confinement."""
    from registry_gate.signer.answering import answer

    return answer(request)


if __name__ == "__main__":
    serve(carry_out)
