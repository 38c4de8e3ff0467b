"""The list of admitted models that cluster policies ask: from the log, proved by the Releases themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import yaml
from pydantic import AwareDatetime

from registry_gate.client.find import stored_release
from registry_gate.errors import FetchError, UsageError, VerificationError
from registry_gate.log import AdmissionLog, ReceiptBody
from registry_gate.record import Record
from registry_gate.release import Digest, Receipt
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify import read_statements

CONFIG_MAP = "registry-gate-admitted"
NAMESPACE = "registry-gate"
_IMAGE = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_GONE = "no-such-release"  # one Release is not there; a registry that does not answer is another code
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
    """A Release that the log admitted and that does not verify now: expired, revoked, or tampered with."""

    name: str
    manifest_digest: Digest
    code: str
    message: str


class AdmittedList(Record):
    """Everything that may be served, the images that may pull it, and what was left out and why."""

    made_at: AwareDatetime
    models: tuple[AdmittedModel, ...]
    gate_images: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def suspicious(self) -> tuple[LeftOut, ...]:
        """What was left out for another reason than its age."""
        return tuple(item for item in self.left_out if item.code != "expired")


def admitted_list(
    log: AdmissionLog, trust: Trust, registry_uri: str, gate_images: Sequence[str], now: datetime
) -> AdmittedList:
    """Verify the signed statements of every Release that the log holds a receipt for.

    Args:
        log: every line of it is verified first.
        trust: whose signatures, under which policies, count.
        registry_uri: where the Releases are read; their bytes are verified by who pulls them.
        gate_images: images of the gate that may pull in a cluster, by digest.
        now: verdicts must be valid then.

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
    found = [_proved(receipt, trust, registry_uri, now) for receipt in _newest_receipts(log)]
    return AdmittedList(
        made_at=now,
        models=tuple(item for item in found if isinstance(item, AdmittedModel)),
        gate_images=tuple(gate_images),
        left_out=tuple(item for item in found if isinstance(item, LeftOut)),
    )


def _newest_receipts(log: AdmissionLog) -> Iterator[Receipt]:
    bodies = [entry.body for entry in log.entries()]
    receipts = [body.receipt for body in bodies if isinstance(body, ReceiptBody)]
    newest = {(receipt.registered_name, receipt.manifest_digest): receipt for receipt in receipts}
    for key in sorted(newest):
        yield newest[key]


def _proved(receipt: Receipt, trust: Trust, registry_uri: str, now: datetime) -> AdmittedModel | LeftOut:
    try:
        with stored_release(receipt.source_uri, registry_uri) as source:
            said = read_statements(source, trust, expect_name=receipt.registered_name, now=now).verified
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
