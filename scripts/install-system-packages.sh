#!/usr/bin/env bash
# Installs what the gate uses from Debian: bubblewrap, the stronger of its two sandboxes.
# Without it the gate confines its readers with Landlock and seccomp, which need nothing installed (Linux >= 5.13).
set -euo pipefail
if command -v bwrap >/dev/null; then
    bwrap --version
    exit 0
fi
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
as_root apt-get update --quiet --quiet
as_root apt-get install --yes --quiet --no-install-recommends bubblewrap
bwrap --version
