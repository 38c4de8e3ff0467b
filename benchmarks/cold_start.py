"""Verification from a cold process: a key-signed and a keyless Release of 1 MB, and the bare import.

``verify`` always asks the signed index, read here from a folder; what that costs is shown by the same command
with the question cut out, which no command of ours can do.

Each figure is the median of runs in processes of their own, started in turn, so that a busy moment of the
machine falls on all of them; the interpreter's own start is printed beside them and is in every figure. The
keyless Release is signed against the private Sigstore double and verified with no service running.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry_gate.decision import decide
from registry_gate.index.edits import with_listed
from registry_gate.release import Terms
from registry_gate.settings import SigningSettings
from registry_gate.signing.authority import Authority
from registry_gate.signing.identities import TrustedIdentity
from registry_gate.signing.keyless import open_keyless
from registry_gate.signing.sign import sign_release
from registry_gate.signing.trust import save_trust
from registry_gate.testing.private_sigstore import PrivateSigstore
from registry_gate.testing.sample_release import SampleGate, entry_of, sample_gate

RUNS = 9
BARS = {"verify, key, index": 0.6, "verify, keyless, index": 2.0, "import registry_gate": 0.05}
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 4096}
WHO = "gate@acme.example"
WITHOUT_INDEX = """
import sys
from registry_gate.cli.app import run
from registry_gate.index import check
check.require_listed = lambda *_, **__: None
sys.exit(run(sys.argv[1:]))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(Path(folder))
        times: dict[str, list[Cost]] = {name: [] for name in commands}
        environment = {**os.environ, "REGISTRY_GATE_HOME": f"{folder}/home"}
        for command in commands.values():
            _timed(command, environment)  # compiled files and page cache are there afterwards
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(_timed(command, environment))
    start = statistics.median(cost.wall for cost in times["python -c pass"])
    for name, taken in times.items():
        wall = statistics.median(cost.wall for cost in taken)
        _print(name, wall, statistics.median(cost.cpu for cost in taken), start)


def _print(name: str, seconds: float, cpu: float, start: float) -> None:
    bar = BARS.get(name)
    figure = seconds - start if name.startswith("import") else seconds
    verdict = "" if bar is None else f"  bar {bar} s: {'met' if figure < bar else 'MISSED'}"
    note = " beyond the interpreter's start" if name.startswith("import") else ""
    print(f"{name:24} {figure:.3f} s median of {RUNS}, CPU {cpu:.2f} s{note}{verdict}")


@dataclass(frozen=True)
class Cost:
    """Seconds of one process: on the wall, and of CPU in all its threads."""

    wall: float
    cpu: float


def _timed(command: list[str], environment: dict[str, str]) -> Cost:
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _commands(folder: Path) -> dict[str, list[str]]:
    gate = sample_gate(folder / "home")
    key = gate.release(folder / "key", files=FILES).root
    keyless, trust = _keyless(gate, folder / "keyless")
    verify = [sys.executable, "-m", "registry_gate", "verify"]
    unasked = [sys.executable, "-c", WITHOUT_INDEX, "verify"]
    by_key = [str(key), "--trust", str(gate.settings.trust)]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import registry_gate": [sys.executable, "-c", "import registry_gate"],
        "verify, key, no index": [*unasked, *by_key],
        "verify, key, index": [*verify, *by_key],
        "verify, keyless, index": [*verify, str(keyless), "--trust", str(trust)],
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
        release = sign_release(
            evidence,
            decide(evidence, gate.policy, issued),
            gate.policy,
            terms=Terms(sequence=1, issued_at=issued, expires_at=issued + timedelta(days=30)),
            signer=Authority(open_keyless(signing), trust),
            trust=trust,
            destination=folder / "release",
        )
    gate.index.change(lambda content: with_listed(content, entry_of(release)))
    save_trust(trusted, trust)
    return folder / "release", trusted


if __name__ == "__main__":
    main()
