"""What importing costs, and what a base installation can do without the heavy libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from registry_gate.testing.sample_release import sample_gate

HEAVY = ("torch", "mlflow", "sigstore", "pydantic", "numpy", "transformers", "cryptography", "typer", "rich")
NOT_IN_BASE = (
    "torch",
    "mlflow",
    "numpy",
    "sigstore",
    "model_signing",
    "safetensors",
    "transformers",
    "huggingface_hub",
    "Levenshtein",
    "scipy",
    "PIL",
    "picklescan",
    "OpenSSL",
)


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )


def test_importing_the_package_brings_in_nothing_heavy() -> None:
    done = python(f"import sys, registry_gate; print([n for n in {HEAVY!r} if n in sys.modules])")
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_the_client_is_standard_library_only_at_import() -> None:
    done = python(
        "import sys; from registry_gate import load_verified, verify, errors\n"
        f"print([n for n in {HEAVY!r} if n in sys.modules])"
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_public_names_are_listed_and_unknown_ones_are_not_there() -> None:
    done = python(
        "import registry_gate\n"
        "assert set(registry_gate.__all__) <= set(dir(registry_gate))\n"
        "try: registry_gate.unknown\n"
        "except AttributeError as error: print(error)"
    )
    assert "unknown" in done.stdout, done.stderr


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
from registry_gate import load_verified, verify, errors
trust, folder = sys.argv[1:]
print(verify(folder + "/", trust=trust).id)
model = load_verified(folder + "/", trust=trust, into="directory")
print(sorted(path.name for path in model.iterdir()))
for into in ("model", "state_dict"):
    try:
        load_verified(folder + "/", trust=trust, into=into)
    except errors.ToolError as error:
        print(error.code)
"""


@pytest.mark.parametrize("blocked", [NOT_IN_BASE])
def test_a_base_installation_verifies_and_copies(blocked: tuple[str, ...], tmp_path: Path) -> None:
    gate = sample_gate(tmp_path / "home")
    root = gate.release(tmp_path / "made").root
    done = python(BLOCKED.format(blocked=blocked), str(gate.settings.trust), str(root))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "acme/tiny",
        "['bom.cdx.json', 'config.json', 'model.safetensors', 'tokenizer']",
        "missing-extra",
        "missing-extra",
    ]
