#!/usr/bin/env bash
# Writes requirements.lock again: every distribution with hashes, torch and what only its CUDA build needs apart.
# torch itself is pinned in requirements-torch.lock without hashes, because which build of that version a machine
# takes (CPU, CUDA, from disk or an index) is the machine's own business; everything else is the same everywhere.
# Versions locked already are kept where pyproject.toml still allows them; `scripts/lock.sh --upgrade` takes the newest.
set -euo pipefail
cd "$(dirname "$0")/.."
torch=$(grep -E '^torch==' requirements-torch.lock)
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
cp requirements.lock "$raw"  # uv keeps what its output file already pins
echo "$torch" | .venv/bin/uv pip compile pyproject.toml --extra gate --extra dev --constraint - \
    --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --output-file "$raw" "$@"
{
    echo "# Made by scripts/lock.sh from pyproject.toml; install with: pip install --require-hashes --no-deps -r"
    awk '/^[A-Za-z0-9]/ { keep = $0 !~ /^(torch|triton|nvidia-|cuda-)/ } keep' "$raw"
} > requirements.lock
