"""Real repositories on a real loopback hub, and a gate home of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from registry_gate import settings as settings_of
from registry_gate.admission import Request, admit, scan
from registry_gate.policy import SHIPPED, Policy, load_policy, policies_folder
from registry_gate.report.document import Report
from registry_gate.settings import Settings
from registry_gate.signing.keys import init_keys
from registry_gate.testing.hub import LoopbackHub
from registry_gate.testing.repository import RepoMetadata
from registry_gate.testing.toy_text import write_text_classifier

ORDINARY = RepoMetadata()


@pytest.fixture(scope="session")
def text_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained DistilBERT saved as pytorch_model.bin."""
    return write_text_classifier(tmp_path_factory.mktemp("models") / "tiny", steps=30)


@pytest.fixture(scope="session")
def hub(text_classifier: Path) -> Iterator[LoopbackHub]:
    """A hub that serves the classifier as ``acme-ml/tiny``."""
    with LoopbackHub() as hub:
        hub.add_repo("acme-ml/tiny", text_classifier, metadata=ORDINARY)
        yield hub


def loopback_policy_file(folder: Path, **changes: object) -> Path:
    """The default policy with the loopback endpoint, as a file."""
    document = yaml.safe_load((policies_folder() / "default.yaml").read_text())
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document | {"name": "loopback", "endpoints": ["loopback"]} | changes))
    return path


@dataclass(frozen=True)
class Gate:
    """A gate with a home, keys and trust of its own, against one hub."""

    settings: Settings
    policy: Policy
    policy_file: Path
    endpoint: str

    def request(self, reference: str, **more: object) -> Request:
        asked: dict[str, object] = {"policy": self.policy, "settings": self.settings} | more
        if "as_id" not in asked:
            asked.setdefault("endpoint", self.endpoint)
        return Request(reference, **asked)  # type: ignore[arg-type]

    def admit(self, reference: str, **more: object) -> Report:
        return admit(self.request(reference, **more))

    def scan(self, reference: str, **more: object) -> Report:
        return scan(self.request(reference, **more))


def make_gate(folder: Path, endpoint: str, **changes: object) -> Gate:
    folder.mkdir(parents=True, exist_ok=True)
    policy_file = loopback_policy_file(folder, **changes)
    policy = load_policy(policy_file)
    settings = settings_of.load(folder / "home", administrator_trust=folder / "none.json")
    init_keys(settings, (policy.digest(), *(load_policy(name).digest() for name in SHIPPED)))
    return Gate(settings, policy, policy_file, endpoint)


@pytest.fixture
def gate(tmp_path: Path, hub: LoopbackHub) -> Gate:
    return make_gate(tmp_path, hub.url)


@pytest.fixture(scope="module")
def shared_gate(tmp_path_factory: pytest.TempPathFactory, hub: LoopbackHub) -> Gate:
    """One gate for a whole module: its registry fills up as the tests go."""
    return make_gate(tmp_path_factory.mktemp("gate"), hub.url)
