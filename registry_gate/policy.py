"""Policy is data: the YAML document that, with the evidence, fixes the verdict."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, JsonValue, ValidationError, model_validator

from registry_gate.backdoor.fusion import Fusion
from registry_gate.backdoor.text_reference import TextReferences
from registry_gate.errors import UsageError
from registry_gate.evidence import FileFormat
from registry_gate.finding import Confidence, Severity, Slug
from registry_gate.record import Record

SHIPPED = ("default", "strict", "research")
_MAX_POLICY_BYTES = 4 * 1024 * 1024


class Disposition(StrEnum):
    """What one finding does to the verdict."""

    ALLOW = "allow"
    REVIEW = "review"
    REJECT = "reject"


class Bar(Record):
    """A finding at least this severe and at least this sure meets the bar."""

    severity: Severity
    confidence: Confidence


class RuleOverride(Record):
    """What the policy says about one rule: its disposition instead of the one its severity gives."""

    disposition: Disposition
    because: str = ""


class Limits(Record):
    """Sizes in bytes, times in seconds, memory in MiB."""

    max_files: int = Field(gt=0)
    max_file_bytes: int = Field(gt=0)
    max_total_bytes: int = Field(gt=0)
    max_config_bytes: int = Field(gt=0)
    reader_seconds: int = Field(gt=0)
    reader_memory_mb: int = Field(gt=0)
    behaviour_seconds: int = Field(gt=0)
    behaviour_memory_mb: int = Field(gt=0)


class ProtectedNames(Record):
    """Owners and names that look-alikes imitate, with the date the list was made."""

    dated: date
    owners: tuple[str, ...]
    reuploaders: tuple[str, ...]
    names: tuple[str, ...]


class PickleAllowList(Record):
    """Exact (module, full qualified name) pairs that checkpoints may import, with the list's date.

    ``calls`` and ``states`` say, by module and name, what a listed name may be called with and what state
    its result may be given, ``made`` what its ``__new__`` may be; ``filled`` are names whose results may have
    entries set, ``extended`` items appended. What stands in none of them may be imported and nothing else.
    The language of the patterns stands in the list itself.
    """

    dated: date
    globals: dict[str, tuple[str, ...]]
    calls: dict[str, dict[str, tuple[JsonValue, ...]]] = {}
    states: dict[str, dict[str, tuple[JsonValue, ...]]] = {}
    made: dict[str, dict[str, tuple[JsonValue, ...]]] = {}
    filled: dict[str, tuple[str, ...]] = {}
    extended: dict[str, tuple[str, ...]] = {}

    def allows(self, module: str, name: str) -> bool:
        """True only for an exact pair of the list."""
        return name in self.globals.get(module, ())


class Publisher(Record):
    """Who signs some models with OpenSSF Model Signing, and what proves it: one of three.

    ``models`` are patterns of ids (``acme/*``), compared with case. ``key`` is a public key in PEM;
    ``identity`` with ``issuer`` a keyless signer under ``sigstore_root`` (``public``, or a trusted root in
    JSON); ``certificate`` a name (``URI:...``, ``email:...``, ``DNS:...``, ``subject:...``) under ``roots``.
    Where ``required``, a model is not admitted unless a publisher expected for it signed it.
    """

    name: Slug
    models: tuple[str, ...] = Field(min_length=1)
    key: str | None = None
    identity: str | None = None
    issuer: str | None = None
    sigstore_root: str = "public"
    certificate: str | None = None
    roots: str | None = None
    timestamp_roots: str = ""
    required: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Publisher:
        ways = [self.key, self.identity, self.certificate]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("a publisher is known by a key, an identity or a certificate: exactly one")
        if (self.identity is None) != (self.issuer is None):
            raise ValueError("an identity needs its issuer")
        if (self.certificate is None) != (self.roots is None):
            raise ValueError("a certificate's name needs its roots")
        return self


class Provenance(Record):
    """What is asked of where a model comes from."""

    trusted_owners: tuple[str, ...]
    min_age_days: int = Field(ge=0)
    require_verified_organisation: bool
    licences_allowed: tuple[str, ...]
    licences_refused: tuple[str, ...]
    require_licence: bool
    allow_gated: bool
    require_hub_scan: bool
    publishers: tuple[Publisher, ...] = ()

    def publishers_of(self, model_id: str) -> tuple[Publisher, ...]:
        """The publishers whose patterns a model's id matches, case included."""
        return tuple(
            publisher
            for publisher in self.publishers
            if any(fnmatchcase(model_id, pattern) for pattern in publisher.models)
        )


class TaskRequirement(Record):
    """Behaviour checks for one task: those that must have looked, and those whose not_applicable will do."""

    required: tuple[Slug, ...] = ()
    not_applicable_ok: bool = False


class Waiver(Record):
    """One finding a named person accepts for one commit until a date; shown in every report."""

    rule: Slug
    endpoint: str
    model: str
    commit: str
    owner: str
    reason: str = Field(min_length=10)
    expires: datetime


class Policy(Record):
    """Everything that fixes a verdict besides the evidence. Its digest is signed with each Release.

    ``separate_approver``: who approves a review is not who asked; ``approval_days``: how long an approval
    counts after it was signed, whatever expiry it names itself.
    ``self_test_days``: how old this machine's last passed `registry-gate doctor` may be when a model is
    examined; None asks for none.
    """

    version: int = Field(ge=1, le=1)
    name: Slug
    description: str
    endpoints: tuple[str, ...]
    allow_folder_source: bool
    reject: Bar
    review: Bar
    rules: dict[Slug, RuleOverride] = {}
    required_checks: tuple[Slug, ...]
    tasks: dict[Slug, TaskRequirement]
    other_tasks: TaskRequirement
    formats: tuple[FileFormat, ...]
    weight_preference: tuple[FileFormat, ...]
    limits: Limits
    provenance: Provenance
    thresholds: dict[str, float]
    mm_bd_profile: Literal["fast", "paper"] = "fast"
    sandboxes: tuple[str, ...]
    statement_days: int = Field(gt=0)
    evidence_days: int = Field(default=730, gt=0)
    waivers: tuple[Waiver, ...] = ()
    separate_approver: bool = True
    approval_days: int = Field(default=30, gt=0)
    self_test_days: int | None = Field(default=None, gt=0)
    protected: ProtectedNames
    pickle_allow_list: PickleAllowList
    behaviour_fusion: Fusion | None = None
    text_references: TextReferences | None = None

    def task(self, task: str | None) -> TaskRequirement:
        """The behaviour requirement of a task, the one of ``other_tasks`` when it has none of its own."""
        return self.tasks.get(task or "", self.other_tasks)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(self.construct_object(key_node, deep=True))
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key!r}", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def policies_folder() -> Path:
    """Where the shipped policies and data tables lie: in the wheel, or beside the package in a checkout."""
    packaged = Path(str(resources.files("registry_gate") / "policies"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parent.parent / "policies"


def load_policy(reference: str | Path = "default") -> Policy:
    """Load a shipped policy by name or any policy by path.

    A document names its data tables (``protected``, ``pickle_allow_list``, ``behaviour_fusion``,
    ``text_references``) by file, relative to itself, or shipped ones as ``shipped:protected-names``; they are
    read in, so the policy's digest covers them.

    Raises:
        UsageError: ``bad-policy`` when the file is missing, not YAML, has unknown or duplicate keys or
            values out of range.
    """
    text = str(reference)
    path = policies_folder() / f"{text}.yaml" if text in SHIPPED else Path(text)
    document = _read_yaml(path)
    if not isinstance(document, dict):
        raise _bad(path, "the document is not a mapping")
    for key in ("protected", "pickle_allow_list", "behaviour_fusion", "text_references"):
        value = document.get(key)
        if isinstance(value, str):
            document[key] = _read_yaml(_table_path(path, value))
    try:
        return Policy.model_validate(document, strict=False)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()
        )
        raise _bad(path, problems) from error


def _table_path(policy_path: Path, value: str) -> Path:
    if value.startswith("shipped:"):
        return policies_folder() / f"{value.removeprefix('shipped:')}.yaml"
    return policy_path.parent / value


def _read_yaml(path: Path) -> Any:
    try:
        data = path.read_bytes()
        if len(data) > _MAX_POLICY_BYTES:
            raise _bad(path, f"larger than {_MAX_POLICY_BYTES} bytes")
        return yaml.load(data, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that also refuses duplicates
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(path, str(error)) from error


def _bad(path: Path, detail: str) -> UsageError:
    return UsageError(
        "bad-policy",
        f"policy {path}: {detail}",
        why="a policy that cannot be read in full cannot decide anything",
        todo=f"give a valid policy file or one of {', '.join(SHIPPED)}",
    )
