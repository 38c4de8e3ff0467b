"""The serving process of the drill inside the sandbox: it tries to reach out, and says how that ended."""

from __future__ import annotations

from registry_gate.examine.confinement import serve
from registry_gate.progress import Progress
from registry_gate.record import Record


class Attempt(Record):
    """Where to connect to and what to send there."""

    host: str
    port: int
    message: str


class Ending(Record):
    """How the attempt ended: ``error`` is empty where something answered."""

    error: str


def answer(request: bytes, progress: Progress) -> bytes:
    """Make the attempt."""
    import errno

    from registry_gate.drill.victim import reach_out

    wanted = Attempt.from_json(request)
    try:
        reach_out(wanted.host, wanted.port, wanted.message.encode())
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        return Ending(error=name).canonical()
    return Ending(error="").canonical()


if __name__ == "__main__":
    serve(answer)
