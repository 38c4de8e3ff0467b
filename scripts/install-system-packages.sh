#!/usr/bin/env bash
# Installs what the gate and its tests use from Debian; what is there already is left as it is.
#   bubblewrap  the stronger of the gate's two sandboxes. Without it the gate confines its readers with Landlock and
#               seccomp, which need nothing installed (Linux >= 5.13).
#   chromium    opens the HTML reports in a test; the gate itself never starts it.
set -euo pipefail
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v bwrap >/dev/null || missing+=(bubblewrap)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    missing+=(chromium)
if [ ${#missing[@]} -gt 0 ]; then
    as_root apt-get update --quiet --quiet
    as_root apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
fi
bwrap --version
