"""The demonstration's side of the command line: runs it, reads its JSON, keeps a row for each act."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from registry_gate.policy import policies_folder
from registry_gate.report import text
from registry_gate.report.document import Report


@dataclass
class Row:
    """One line of the table at the end."""

    what: str
    expected: str
    verdict: str
    reasons: list[str] = field(default_factory=list)
    seconds: float = 0.0
    held: bool = False
    must_hold: bool = True


class Gate:
    """Runs ``registry-gate`` as a person would, with a home of its own."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.endpoint = endpoint
        self.console = Console(width=max(Console().width, 120))
        self.policy = write_policy(folder)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "MLFLOW_"))},
            "REGISTRY_GATE_HOME": str(self.home),
        }
        if not (self.home / "keys").exists():
            self._run("keys", "init")
        self._run("keys", "trust-policy", str(self.policy))

    def title(self, text: str) -> None:
        """Announce an act."""
        self.console.print(f"\n[bold]{text}[/bold]")

    def admit(self, name: str, *arguments: str, expect: str) -> Row:
        """``registry-gate admit`` against the loopback hub."""
        report = self.folder / "last-report.json"
        report.unlink(missing_ok=True)
        options = ["--endpoint", self.endpoint, "--policy", str(self.policy), *arguments]
        self.console.print(f"$ registry-gate admit {name} {' '.join(arguments)}", markup=False)
        started = time.perf_counter()
        result = self._run("admit", name, *options, "--format", "json", "--output", str(report), check=False)
        seconds = time.perf_counter() - started
        if not report.exists():
            return Row(f"admit {name}", expect, f"exit {result.returncode}", ["no report"], seconds)
        found = json.loads(report.read_text(encoding="utf-8"))
        sys.stdout.write(text.render(Report.from_json(report.read_bytes()), colour=self.console.is_terminal))
        reasons = [reason["code"] for reason in found["reasons"]] + _statistics(found)
        admitted = found["verdict"] == "admit"
        held = admitted == (expect == "admit") and result.returncode == (0 if admitted else 2)
        return Row(f"admit {name}", expect, found["verdict"], reasons, seconds, held)

    def load_and_run(self, name: str, sentence: str) -> Row:
        """``load_verified`` in a fresh process, then one sentence through the model."""
        program = (
            "import sys, torch\n"
            "from registry_gate import load_verified\n"
            "model = load_verified(sys.argv[1])\n"
            "inputs = model.processor(sys.argv[2], return_tensors='pt')\n"
            "inputs.pop('token_type_ids', None)\n"
            "label = model.config.id2label[int(model(**inputs).logits.argmax())]\n"
            "print(f'{sys.argv[2]!r} -> {label}')\n"
        )
        return self._load(f"load_verified {name}", program, name, sentence, expected="loads", code=None)

    def load_with_one_byte_changed(self, name: str) -> Row:
        """Pull the Release, change one byte of its weights, load the folder."""
        pulled = self.folder / "tampered"
        _remove(pulled)
        self._run("pull", name, str(pulled))
        weights = pulled / "model" / "model.safetensors"
        weights.chmod(0o644)
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        program = "import sys\nfrom registry_gate import load_verified\nload_verified(sys.argv[1])\n"
        return self._load(
            "load a Release with one byte changed",
            program,
            str(pulled),
            expected="refused",
            code="bytes-differ",
        )

    def load_unsigned_under_the_alias(self, name: str) -> Row:
        """Register an unsigned model straight into MLflow under the alias, load, move the alias back."""
        plant = self._python(_PLANT, name)
        row = self._load(
            "load an unsigned model under the same alias",
            "import sys\nfrom registry_gate import load_verified\nload_verified(sys.argv[1])\n",
            name,
            expected="refused",
            code="no-signature",
        )
        self._python(_RESTORE, name, plant.stdout.strip().splitlines()[-1])
        return row

    def table(self, rows: list[Row]) -> None:
        """The table at the end: verdict, reasons, seconds, where things lie."""
        table = Table(title="\nWhat happened", title_justify="left", title_style="bold")
        for column in ("what", "expected", "verdict", "reasons", "seconds"):
            table.add_column(column, overflow="fold")
        for row in rows:
            style = "green" if row.held else "red" if row.must_hold else "yellow"
            verdict = row.verdict if row.held else f"{row.verdict} ({_missed(row)})"
            reasons = ", ".join(row.reasons) or "-"
            cells = (row.what, row.expected, verdict, reasons)
            table.add_row(
                *(Text(cell, style=style if cell is verdict else "") for cell in cells), f"{row.seconds:.1f}"
            )
        self.console.print(table)
        self.console.print(f"reports   {self.home / 'reports'}")
        self.console.print(f"registry  sqlite:///{self.home / 'registry' / 'mlflow.db'}")
        self.console.print(f"log       {self.home / 'log'}")

    def _load(self, what: str, program: str, *arguments: str, expected: str, code: str | None) -> Row:
        started = time.perf_counter()
        result = self._python(program, *arguments, check=False)
        seconds = time.perf_counter() - started
        refused = [line for line in result.stderr.splitlines() if line.startswith("registry_gate.errors.")]
        said = result.stdout.strip() or (refused[-1] if refused else result.stderr.strip()[-300:])
        self.console.print(f"$ {what}\n  {said}", markup=False, highlight=False)
        held = result.returncode == 0 if code is None else bool(refused) and code in result.stderr
        return Row(what, expected, "loads" if result.returncode == 0 else "refused", [said], seconds, held)

    def _run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "registry_gate", *arguments]
        return subprocess.run(command, env=self.environment, check=check, text=True, stdout=subprocess.PIPE)

    def _python(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(command, env=self.environment, check=check, text=True, capture_output=True)


_PLANT = """
import sys, pathlib, tempfile
from registry_gate.candidate import registered_name
from registry_gate.settings import load
import mlflow
settings = load()
mlflow.set_tracking_uri(settings.registry_uri)
client = mlflow.MlflowClient()
name = registered_name(sys.argv[1])
current = client.get_model_version_by_alias(name, "approved").version
folder = pathlib.Path(tempfile.mkdtemp()) / "model"
folder.mkdir()
(folder / "model.safetensors").write_bytes(b"not what you think")
version = client.create_model_version(name, source=str(folder.parent))
client.set_registered_model_alias(name, "approved", version.version)
print(current)
"""

_RESTORE = """
import sys
from registry_gate.candidate import registered_name
from registry_gate.settings import load
import mlflow
mlflow.set_tracking_uri(load().registry_uri)
mlflow.MlflowClient().set_registered_model_alias(registered_name(sys.argv[1]), "approved", sys.argv[2])
"""


def write_policy(folder: Path) -> Path:
    """The default policy plus the loopback endpoint, which no shipped policy lists."""
    document = yaml.safe_load((policies_folder() / "default.yaml").read_text(encoding="utf-8"))
    document |= {"name": "demo", "description": "default, and the loopback hub", "endpoints": ["loopback"]}
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _statistics(report: dict[str, list[dict[str, object]]]) -> list[str]:
    shown = []
    for test in report["behaviour"]:
        if test["status"] == "measured":
            names = ("statistic", "p_value", "score", "suspected_target")
            numbers = [f"{name} {test[name]:.3g}" for name in names if isinstance(test[name], int | float)]
            shown.append(f"{test['test']}: {', '.join(numbers)}")
    return shown


def _missed(row: Row) -> str:
    if row.must_hold:
        return "FAILED"
    return "false alarm" if row.expected == "admit" else "MISS"


def _remove(folder: Path) -> None:
    if folder.exists():
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(folder)
