"""``python -m registry_gate.enforce.guarded program.py ARGUMENT...``: one program under the guard.

``-m MODULE`` works as with Python. Processes the program starts are guarded too, where the package's ``.pth``
is installed.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from registry_gate.enforce.guard import install_if_wanted
from registry_gate.enforce.guard.terms import VARIABLE
from registry_gate.errors import Error


def main() -> int:
    """Install the guard, then run the program as if Python had been given it."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stderr.write(f"{__doc__}\n")
        return 1
    os.environ.setdefault(VARIABLE, "1")
    try:
        install_if_wanted()
    except Error as error:
        sys.stderr.write(error.diagnostics() + "\n")
        return error.exit_code
    if arguments[0] == "-m" and len(arguments) > 1:
        sys.argv = arguments[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
