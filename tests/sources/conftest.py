import pytest

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.policy import Policy
from registry_gate.sources import HubSource, Patience
from registry_gate.testing import LoopbackHub

QUICK = Patience(attempts=4, base_seconds=0.01, cap_seconds=0.05, timeout_seconds=1.0)
DOCUMENT = {
    "version": 1,
    "name": "for-tests",
    "description": "what the sources look at, and nothing surprising elsewhere",
    "endpoints": ["loopback"],
    "allow_folder_source": True,
    "reject": {"severity": "high", "confidence": "medium"},
    "review": {"severity": "medium", "confidence": "low"},
    "required_checks": [],
    "tasks": {},
    "other_tasks": {},
    "formats": ["safetensors"],
    "weight_preference": ["safetensors"],
    "limits": {
        "max_files": 50,
        "max_file_bytes": 50_000_000,
        "max_total_bytes": 100_000_000,
        "max_config_bytes": 1_000_000,
        "reader_seconds": 10,
        "reader_memory_mb": 100,
        "behaviour_seconds": 10,
        "behaviour_memory_mb": 100,
    },
    "provenance": {
        "trusted_owners": ["trusted"],
        "min_age_days": 7,
        "require_verified_organisation": False,
        "licences_allowed": ["Apache-2.0"],
        "licences_refused": ["CC-BY-NC-4.0"],
        "require_licence": True,
        "allow_gated": True,
        "require_hub_scan": False,
    },
    "thresholds": {},
    "sandboxes": ["bubblewrap"],
    "statement_days": 30,
    "protected": {"dated": "2026-01-01", "owners": ["google"], "reuploaders": [], "names": []},
    "pickle_allow_list": {"dated": "2026-01-01", "globals": {}},
}


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(DOCUMENT, strict=False)


@pytest.fixture
def hub():
    with LoopbackHub() as running:
        yield running


@pytest.fixture
def source(hub):
    """Build a HubSource for an id on the fixture's hub."""

    def build(model_id="org/model", revision=None, token=None, endpoint=None, patience=QUICK):
        candidate = Candidate(
            kind=SourceKind.HUB, endpoint=endpoint or hub.url, id=model_id, revision=revision
        )
        return HubSource(candidate, token, patience=patience)

    return build
