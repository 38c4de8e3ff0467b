"""Entry point of the gate's image: ``python3 -I`` looks in no folder but those named here."""

import sys

sys.path.insert(0, "/opt/registry-gate/site-packages")

from registry_gate.__main__ import main

sys.argv[0] = "registry-gate"  # the name that --help shows
main()
