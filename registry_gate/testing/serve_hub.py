"""``python -m registry_gate.testing.serve_hub FOLDER``: serve the repositories ``FOLDER/org/name``."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from registry_gate.testing.hub import LoopbackHub


def main(arguments: list[str]) -> int:
    """Serve a folder of repositories; the first line on standard output is the endpoint's URL.

    Args:
        arguments: the command line without the program's name.
    """
    parser = argparse.ArgumentParser(
        prog="python -m registry_gate.testing.serve_hub",
        description="Serve FOLDER/org/name as a hub on this machine until interrupted.",
    )
    parser.add_argument("folder", type=Path, help="holds org/name folders, one a repository")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free port")
    options = parser.parse_args(arguments)
    with LoopbackHub(port=options.port) as hub:
        sys.stdout.write(f"{hub.url}\n")
        for folder in sorted(path for path in options.folder.glob("*/*") if path.is_dir()):
            model_id = folder.relative_to(options.folder).as_posix()
            sys.stdout.write(f"{model_id} {hub.add_repo(model_id, folder)}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
