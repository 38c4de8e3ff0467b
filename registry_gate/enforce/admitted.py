"""The list of admitted models that cluster policies ask.

From the log, held against the index, proved by the Releases themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import yaml
from pydantic import AwareDatetime

from registry_gate.client.find import stored_release
from registry_gate.enforce.admissions import Admission, admissions
from registry_gate.enforce.audit.document import Standing
from registry_gate.errors import FetchError, UsageError, VerificationError
from registry_gate.index.check import judge
from registry_gate.index.content import IndexContent
from registry_gate.log import AdmissionLog, LogEntry, ReceiptBody
from registry_gate.record import Record
from registry_gate.release import Digest, Receipt
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify import read_statements

CONFIG_MAP = "registry-gate-admitted"
NAMESPACE = "registry-gate"
_IMAGE = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_GONE = "no-such-release"  # one Release is not there; a registry that does not answer is another code
_EXPECTED = frozenset({"expired", "revoked", "key-revoked", "key-retired", "superseded"})
"""What the gate itself, or time, did to a Release; any other reason is somebody else's doing."""
_MAX_CONFIG_MAP = 1_000_000  # bytes; the API server takes 1 MiB with the object's own fields


class AdmittedModel(Record):
    """One Release that verifies today. ``pin`` is what a pod's annotation says."""

    name: str
    id: str
    commit: str
    manifest_digest: Digest
    expires_at: AwareDatetime

    @property
    def pin(self) -> str:
        """``<registered name>@sha256:<manifest digest>``."""
        return f"{self.name}@{self.manifest_digest}"


class LeftOut(Record):
    """A Release that was admitted and is not now: expired, revoked, superseded, or tampered with.

    ``instead`` is the pin of the newest one of its name that is in the list.
    """

    name: str
    manifest_digest: Digest
    code: str
    message: str
    instead: str | None = None


class AdmittedList(Record):
    """Everything that may be served, the images that may pull it, and what was left out and why."""

    made_at: AwareDatetime
    models: tuple[AdmittedModel, ...]
    gate_images: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def suspicious(self) -> tuple[LeftOut, ...]:
        """What was left out for another reason than its age or a decision of the gate's."""
        return tuple(item for item in self.left_out if item.code not in _EXPECTED)


def admitted_list(
    log: AdmissionLog,
    content: IndexContent,
    trust: Trust,
    registry_uri: str,
    gate_images: Sequence[str],
    now: datetime,
    *,
    keep_superseded: bool = False,
) -> AdmittedList:
    """Verify the signed statements of every Release that the log holds a receipt for.

    What index or log revoke is left out whatever its statements say, and so is what the index does not list.

    Args:
        log: every line of it is verified first.
        content: the index, read and verified: it says what may be loaded.
        trust: whose signatures, under which policies, count.
        registry_uri: where the Releases are read; their bytes are verified by who pulls them.
        gate_images: images of the gate that may pull in a cluster, by digest.
        now: verdicts must be valid then.
        keep_superseded: list what aliases were moved on from too, while a roll-out still runs it.

    Raises:
        UsageError: ``image-not-pinned``.
        VerificationError: ``log-damaged``.
        FetchError: the registry cannot be read: no list is better than one with holes.
    """
    for image in gate_images:
        if not _IMAGE.fullmatch(image):
            raise UsageError(
                "image-not-pinned",
                f"{image[:200]!r} is not <image>@sha256:<64 lower-case hexadecimal digits>",
                why="whoever can move a tag could replace the gate itself",
            )
    entries = log.entries()
    known = {(item.name, item.manifest_digest): item for item in reversed(admissions(entries, content))}
    found = []
    for receipt in _newest_receipts(entries):
        stands = known.get((receipt.registered_name, receipt.manifest_digest))
        gone = _gone(receipt, stands, keep_superseded=keep_superseded)
        found.append(gone or _proved(receipt, content, trust, registry_uri, now))
    models = tuple(item for item in found if isinstance(item, AdmittedModel))
    left_out = tuple(item for item in found if isinstance(item, LeftOut))
    return AdmittedList(
        made_at=now,
        models=models,
        gate_images=tuple(gate_images),
        left_out=tuple(_advised(item, models, known) for item in left_out),
    )


def _newest_receipts(entries: tuple[LogEntry, ...]) -> Iterator[Receipt]:
    receipts = [entry.body.receipt for entry in entries if isinstance(entry.body, ReceiptBody)]
    newest = {(receipt.registered_name, receipt.manifest_digest): receipt for receipt in receipts}
    for key in sorted(newest):
        yield newest[key]


def _gone(receipt: Receipt, stands: Admission | None, *, keep_superseded: bool) -> LeftOut | None:
    """What index and log say against it; None where they say nothing."""
    if stands is None or stands.standing is Standing.ADMITTED:
        return None
    if stands.standing is Standing.SUPERSEDED and keep_superseded:
        return None
    return _left_out(receipt, stands.code, stands.reason)


def _proved(
    receipt: Receipt, content: IndexContent, trust: Trust, registry_uri: str, now: datetime
) -> AdmittedModel | LeftOut:
    try:
        with stored_release(receipt.source_uri, registry_uri) as source:
            said = read_statements(source, trust, expect_name=receipt.registered_name, now=now).verified
        judge(content, said)
    except VerificationError as error:
        return _left_out(receipt, error.code, error.message)
    except FetchError as error:
        if error.code != _GONE:
            raise
        return _left_out(receipt, error.code, error.message)
    if said.manifest_digest != receipt.manifest_digest:
        return _left_out(receipt, "manifest-differs", f"the registry holds {said.manifest_digest}")
    return AdmittedModel(
        name=said.name,
        id=said.id,
        commit=said.commit,
        manifest_digest=said.manifest_digest,
        expires_at=said.expires_at,
    )


def _left_out(receipt: Receipt, code: str, message: str) -> LeftOut:
    return LeftOut(
        name=receipt.registered_name, manifest_digest=receipt.manifest_digest, code=code, message=message
    )


def _advised(
    item: LeftOut, models: tuple[AdmittedModel, ...], known: Mapping[tuple[str, str], Admission]
) -> LeftOut:
    """The same, with the newest Release of its name that is in the list."""
    same = [known[model.name, model.manifest_digest] for model in models if model.name == item.name]
    newest = max(same, key=lambda one: one.sequence, default=None)
    pin = f"{newest.name}@{newest.manifest_digest}" if newest else None
    return item.model_copy(update={"instead": pin})


def as_config_map(listed: AdmittedList) -> str:
    """The parameter of the admission policies (CEL and Kyverno), as YAML.

    Raises:
        UsageError: ``list-too-large``: more than a ConfigMap holds.
    """
    data = {f"model.{model.name}.{model.manifest_digest[-64:]}": model.pin for model in listed.models}
    data |= {f"gate-image.{number}": image for number, image in enumerate(listed.gate_images)}
    annotations = {"registry-gate.dev/made-at": listed.made_at.isoformat()}
    if listed.models:
        first = min(model.expires_at for model in listed.models)
        annotations["registry-gate.dev/first-expiry"] = first.isoformat()
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE, "annotations": annotations},
        "data": data,
    }
    text = yaml.safe_dump(document, sort_keys=False)
    if len(text.encode()) > _MAX_CONFIG_MAP:
        raise UsageError(
            "list-too-large",
            f"{len(listed.models)} models make {len(text.encode())} bytes, over {_MAX_CONFIG_MAP}",
            todo="let old admissions expire, or give each team a registry of its own",
        )
    return text


def as_rego_data(listed: AdmittedList) -> str:
    """The data document of the Rego policy, as JSON."""
    models = [model.pin for model in listed.models]
    said = {"models": models, "gate_images": list(listed.gate_images)}
    return json.dumps({"registry_gate_admitted": said}, indent=2) + "\n"
