"""``python -m registry_gate.testing.serve_sigstore FOLDER``: a private Sigstore double to try things with."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from registry_gate.testing.private_sigstore import PrivateSigstore


def main(arguments: list[str]) -> int:
    """Serve until interrupted; the first line on standard output is the URL, which is the issuer too.

    Args:
        arguments: the command line without the program's name.
    """
    parser = argparse.ArgumentParser(
        prog="python -m registry_gate.testing.serve_sigstore",
        description="Serve a double of Sigstore on this machine until interrupted. It vouches for "
        "anybody: use it to learn and to test, never to sign what others rely on.",
    )
    parser.add_argument("folder", type=Path, help="trust-config.json and token.jwt are written into it")
    parser.add_argument("--identity", default="gate@acme.example", help="whom the token names")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free port")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    with PrivateSigstore(options.port) as sigstore:
        (options.folder / "trust-config.json").write_text(sigstore.trust_config())
        token = options.folder / "token.jwt"
        token.touch(mode=0o600)
        token.write_text(sigstore.token(options.identity))
        sys.stdout.write(f"{sigstore.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
