"""Verification from a cold process: a key-signed and a keyless Release of 1 MB, and the bare import.

Each figure is the median of runs in processes of their own, started in turn, so that a busy moment of the
machine falls on all of them; the interpreter's own start is printed beside them and is in every figure. The
keyless Release is signed against the private Sigstore double and verified with no service running.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry_gate.decision import decide
from registry_gate.release import Terms
from registry_gate.settings import SigningSettings
from registry_gate.signing.authority import Authority
from registry_gate.signing.identities import TrustedIdentity
from registry_gate.signing.keyless import open_keyless
from registry_gate.signing.sign import sign_release
from registry_gate.signing.trust import save_trust
from registry_gate.testing.private_sigstore import PrivateSigstore
from registry_gate.testing.sample_release import SampleGate, sample_gate

RUNS = 9
BARS = {"verify, key": 0.6, "verify, keyless": 2.0, "import registry_gate": 0.05}
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 4096}
WHO = "gate@acme.example"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(Path(folder))
        times: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            _timed(command)  # compiled files and page cache are there afterwards
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(_timed(command))
    start = statistics.median(times["python -c pass"])
    for name, taken in times.items():
        _print(name, statistics.median(taken), start)


def _print(name: str, seconds: float, start: float) -> None:
    bar = BARS.get(name)
    figure = seconds - start if name.startswith("import") else seconds
    verdict = "" if bar is None else f"  bar {bar} s: {'met' if figure < bar else 'MISSED'}"
    note = " beyond the interpreter's start" if name.startswith("import") else ""
    print(f"{name:24} {figure:.3f} s median of {RUNS}{note}{verdict}")


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def _commands(folder: Path) -> dict[str, list[str]]:
    gate = sample_gate(folder / "home")
    key = gate.release(folder / "key", files=FILES).root
    keyless, trust = _keyless(gate, folder / "keyless")
    verify = [sys.executable, "-m", "registry_gate", "verify"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import registry_gate": [sys.executable, "-c", "import registry_gate"],
        "verify, key": [*verify, str(key), "--trust", str(gate.settings.trust)],
        "verify, keyless": [*verify, str(keyless), "--trust", str(trust)],
    }


def _keyless(gate: SampleGate, folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    config, token, trusted = (folder / name for name in ("config.json", "token.jwt", "trust.json"))
    with PrivateSigstore() as sigstore:
        config.write_text(sigstore.trust_config())
        token.write_text(sigstore.token(WHO))
        identity = TrustedIdentity(identity=WHO, issuer=sigstore.issuer)
        update = {"identities": (identity,), "sigstore_root": sigstore.trusted_root(), "keys": ()}
        trust = gate.trust.model_copy(update=update)
        signing = SigningSettings(sign_with="sigstore", sigstore_config=config, sigstore_token_file=token)
        issued = datetime.now(UTC)
        evidence = gate.evidence(folder / "staged", "acme/tiny", FILES, "a" * 40)
        sign_release(
            evidence,
            decide(evidence, gate.policy, issued),
            gate.policy,
            terms=Terms(sequence=1, issued_at=issued, expires_at=issued + timedelta(days=30)),
            signer=Authority(open_keyless(signing), trust),
            trust=trust,
            destination=folder / "release",
        )
    save_trust(trusted, trust)
    return folder / "release", trusted


if __name__ == "__main__":
    main()
