"""The throw-away world of a drill: loopback hub, keys, trust, log, index and registry in one folder.

Nothing of the user's is read or written: settings are made here, not loaded, and programs are started in an
environment that names this world only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from registry_gate import archive
from registry_gate.admission import Request, admit
from registry_gate.candidate import registered_name
from registry_gate.drill import exhibits
from registry_gate.drill.gate import GATE_CONTROLS, policy_without
from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import Evidence
from registry_gate.index.setup import ensure_index
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.policy import SHIPPED, Policy, load_policy
from registry_gate.progress import Progress, silent
from registry_gate.registry import RegisteredVersion, Registry
from registry_gate.report.document import Report
from registry_gate.settings import ADMINISTRATOR_TRUST, DEFAULT_ALIAS, Settings
from registry_gate.signing.keys import init_keys
from registry_gate.signing.trust import Trust, effective_trust, trust_policy
from registry_gate.testing.hub import LoopbackHub

_FOREIGN = ("HF_", "HUGGING", "MLFLOW_", "REGISTRY_GATE", "TRANSFORMERS_", "PYTHON")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True)
class Examined:
    """One candidate after the gate looked at all of it: the report, and the evidence it was judged on."""

    report: Report
    evidence: Evidence


@dataclass
class World:
    """What the drill plays with; the models in it are made and admitted when they are first asked for."""

    folder: Path
    hub: LoopbackHub
    settings: Settings
    policy: Policy
    progress: Progress = silent
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def trust(self) -> Trust:
        """What this world's clients believe."""
        return effective_trust(self.settings)

    @property
    def registry(self) -> Registry:
        """The embedded MLflow store of this world."""
        return Registry(self.settings.registry_uri)

    @property
    def log(self) -> AdmissionLog:
        """The log of this world's gate, to read."""
        return AdmissionLog(self.settings.log, self.trust)

    @contextmanager
    def as_client(self) -> Iterator[None]:
        """Within the block this process is a client of this world, as one started in its environment."""
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    @property
    def marker(self) -> Path:
        """The file that the pickle would write; it must never be there."""
        return self.folder / "the-pickle-ran"

    def admit(self, model: str, policy: Policy | None = None) -> Examined:
        """The gate's own road, to the end whatever is found on the way."""
        chosen = policy or self.policy
        request = Request(
            model, policy=chosen, settings=self.settings, endpoint=self.hub.url, full_report=True
        )
        report = admit(request, progress=self.progress)
        if report.folder is None:
            raise ToolError("drill-failed", f"the gate kept no record of {model}")
        return Examined(report, archive.open_folder(Path(report.folder))[0].evidence)

    def current(self, model: str) -> RegisteredVersion:
        """The version that the alias of a model points at."""
        found = self.registry.version_for(registered_name(model), DEFAULT_ALIAS)
        if found is None:
            raise ToolError("drill-failed", f"the registry holds no approved version of {model}")
        return found

    @cached_property
    def honest(self) -> Examined:
        """The honest model, admitted: what every control must let pass."""
        self.hub.add_repo(exhibits.HONEST, exhibits.honest(self.folder / "honest"))
        return self.admit(exhibits.HONEST)

    @cached_property
    def look_alike_published(self) -> str:
        """The commit of the look-alike on the hub."""
        files = exhibits.look_alike(f"touch {self.marker}")
        return self.hub.add_repo(exhibits.LOOK_ALIKE, files, metadata=exhibits.day_old())

    @cached_property
    def look_alike(self) -> Examined:
        """The look-alike, examined by the gate."""
        _ = self.look_alike_published
        return self.admit(exhibits.LOOK_ALIKE)

    @cached_property
    def trojan(self) -> exhibits.Trojan:
        """The trained classifier with a trigger, and its folder."""
        return exhibits.trojan(self.folder / "trojan")

    @cached_property
    def backdoor_published(self) -> str:
        """The commit of the classifier with a trigger on the hub."""
        return self.hub.add_repo(exhibits.BACKDOORED, self.trojan.folder, metadata=exhibits.day_old())

    @cached_property
    def backdoored(self) -> Examined:
        """The classifier with a trigger, examined by the gate."""
        _ = self.backdoor_published
        return self.admit(exhibits.BACKDOORED)

    @cached_property
    def breach(self) -> Examined:
        """The same classifier, let in by a gate with every gate control of that stage switched off.

        It is what the response is practised on: a real Release, signed, indexed, registered and loadable.
        """
        _ = self.backdoor_published
        weak = policy_without(self.policy, GATE_CONTROLS)
        trust_policy(self.settings, weak.digest())
        return self.admit(exhibits.BACKDOORED, weak)


@contextmanager
def open_world(
    folder: Path, without: frozenset[str] = frozenset(), progress: Progress = silent
) -> Iterator[World]:
    """Make keys, trust and index under a folder, and serve the hub until the block ends.

    Args:
        folder: an empty one of this drill's own.
        without: controls that are switched off; the gate's policy really does without them.
        progress: told of the gate's long work.

    Raises:
        UsageError: ``administered``: an administrator's trust file is the ceiling of every client here, and
            would refuse what this world's gate signs.
    """
    if ADMINISTRATOR_TRUST.exists():
        raise UsageError(
            "administered",
            f"{ADMINISTRATOR_TRUST} limits whom clients on this machine believe",
            why="they would refuse everything of the drill's own gate, and that would prove nothing",
            todo="run the drill in a container or on a machine without that file",
        )
    home = folder / "home"
    home.mkdir(mode=0o700, parents=True)
    policy = load_policy("default").model_copy(
        update={"name": "drill", "description": "default, and the loopback hub", "endpoints": ("loopback",)}
    )
    if without & GATE_CONTROLS:
        policy = policy_without(policy, without & GATE_CONTROLS)
    settings = Settings(
        home=home,
        registry_uri=f"sqlite:///{home}/registry/mlflow.db",
        trust=home / "trust.json",
        administrator_trust=folder / "no-administrator.json",
    )
    _without_bars()
    init_keys(settings, (policy.digest(), *(load_policy(name).digest() for name in SHIPPED)))
    ensure_index(settings)
    with LoopbackHub() as hub:
        yield World(folder, hub, settings, policy, progress, _environment(home))


def _without_bars() -> None:
    """The library's own progress bars would end up between the drill's lines."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _environment(home: Path) -> dict[str, str]:
    """For programs of the drill: this world's gate, no proxy, and nothing that names another."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name.lower() not in _PROXIES
    }
    # A checkout that is run from its folder, not installed, is found by the programs too.
    package = str(Path(__file__).resolve().parents[2])
    path = [package] if package in [str(Path(item).resolve()) for item in sys.path] else []
    return kept | {
        "REGISTRY_GATE_HOME": str(home),
        "HF_HOME": str(home.parent / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": os.pathsep.join(path),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }
