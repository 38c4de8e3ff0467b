"""Runs the ``console`` blocks of a documentation page and holds what is printed against what is shown.

In a block, a line that begins with ``$ `` is a command (a trailing backslash continues it); the lines after
it are its output, in which ``...`` stands for any text and a line of ``...`` alone for any lines. A command
that must not succeed is followed by a line ``[exit N]``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"^\[exit ([0-9]+)\]$")


@dataclass(frozen=True)
class Example:
    command: str
    shown: tuple[str, ...]
    exit_code: int


def examples(page: Path) -> Iterator[Example]:
    """Every command of a page, in order."""
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            last = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
            exits = [int(found[1]) for line in lines if (found := _EXIT.match(line))]
            shown = tuple(line for line in lines[last + 1 :] if line and not _EXIT.match(line))
            yield Example("\n".join(lines[: last + 1]), shown, exits[0] if exits else 0)


def run_page(page: Path, folder: Path, env: Mapping[str, str]) -> int:
    """Run every example of a page in one folder; returns how many there were.

    Raises:
        AssertionError: an exit status or an output is not what the page shows.
    """
    shown = list(examples(page))
    for example in shown:
        done = subprocess.run(
            ["bash", "-c", example.command],
            cwd=folder,
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=240,
        )
        output = done.stdout + done.stderr
        assert done.returncode == example.exit_code, f"$ {example.command}\nexit {done.returncode}\n{output}"
        pattern = "".join(rf".*^{_line(line)}\s*$" for line in example.shown if line.strip() != "...")
        found = re.search(pattern, output, re.MULTILINE | re.DOTALL)
        assert found, f"$ {example.command}\nshown:\n" + "\n".join(example.shown) + f"\nprinted:\n{output}"
    return len(shown)


def _line(shown: str) -> str:
    return r"[^\n]*".join(re.escape(piece) for piece in shown.rstrip().split("..."))
