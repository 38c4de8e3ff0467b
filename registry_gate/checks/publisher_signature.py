"""Did the publisher sign these very files? The strongest evidence of provenance there is.

The confined reader states who signed which digests; here they are held against the digests that the gate took
of every byte it fetched. A stranger's signature is recorded and weighs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, PublisherSignature
from registry_gate.finding import (
    CheckResult,
    Confidence,
    Finding,
    Location,
    Rule,
    Scalar,
    Severity,
    Status,
    concluded,
)
from registry_gate.policy import Policy

NAME = "publisher-signature"
VERSION = 1
_SHOWN = 5
# What the public tool leaves out of every signature; no library loads these.
_BESIDE = frozenset({".gitattributes", ".gitignore"})

INVALID = Rule(
    id="publisher-signature-invalid",
    title="A publisher's signature does not hold",
    severity=Severity.HIGH,
    help="The files are not those that were signed, or the signature is broken: changed after signing, or by "
    "someone who only claims to be the publisher. Do not use the model; tell the publisher.",
)
INCOMPLETE = Rule(
    id="publisher-signature-incomplete",
    title="A publisher's signature leaves files out",
    severity=Severity.MEDIUM,
    help="Nobody vouches for the named files, and whoever can write to the repository may have added them. "
    "Ask the publisher to sign all of them.",
)
MISSING = Rule(
    id="publisher-signature-missing",
    title="The policy requires the publisher's signature, and there is none that holds",
    severity=Severity.HIGH,
    help="The policy says that this publisher signs its models. Without the signature, whoever took over the "
    "account on the hub looks just like the publisher.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge every signature file; not applicable where none is expected and none is there."""
    if evidence.snapshot is None or evidence.signatures is None:
        return _did_not_look(Status.NOT_RUN, "no file was fetched")
    expected = policy.provenance.publishers_of(evidence.candidate.id)
    there = [item for item in evidence.signatures if item.status != "none"]
    if not there and not expected:
        return _did_not_look(Status.NOT_APPLICABLE, "no signature is there, and the policy expects none")
    digests = {file.path: file.sha256 for file in evidence.snapshot}
    beside = _BESIDE | {item.path for item in evidence.signatures}
    findings = [finding for item in there for finding in _judge(item, digests, beside)]
    # what was proven under an entry that the policy no longer has in this form, is not proven any more
    entries = {publisher.digest() for publisher in expected}
    spoilt = {finding.location.file for finding in findings if finding.rule == INVALID.id}
    held = [
        item
        for item in there
        if item.status == "signed" and item.proven_by in entries and item.path not in spoilt
    ]
    if not held and (required := [publisher.name for publisher in expected if publisher.required]):
        findings.append(_finding(MISSING, f"signed by none of: {', '.join(required)}", None))
    return concluded(NAME, VERSION, findings, _measurements(there, held))


def _did_not_look(status: Status, reason: str) -> CheckResult:
    return CheckResult(name=NAME, version=VERSION, status=status, reason=reason)


def _judge(item: PublisherSignature, digests: Mapping[str, str], beside: frozenset[str]) -> Iterator[Finding]:
    if item.status == "invalid":
        yield _finding(INVALID, f"{item.code}: {item.detail}", item.path)
    if item.status != "signed":
        return
    signed = dict(item.files)
    other = sorted(name for name, digest in signed.items() if digests.get(name) != digest)
    if other:
        absent = sum(name not in digests for name in other)
        told = f"{len(other)} of {len(signed)} signed files differ or are absent ({absent} absent)"
        yield _finding(INVALID, f"{told}: {_names(other)}", item.path)
    if uncovered := sorted(set(digests) - set(signed) - beside):
        yield _finding(INCOMPLETE, f"{len(uncovered)} files are not signed: {_names(uncovered)}", item.path)


def _names(names: list[str]) -> str:
    shown = ", ".join(repr(name[:100]) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ..."


def _finding(rule: Rule, message: str, path: str | None) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=Confidence.HIGH,
        message=message,
        location=Location(file=path),
    )


def _measurements(there: list[PublisherSignature], held: list[PublisherSignature]) -> dict[str, Scalar]:
    best = held[0] if held else None
    return {
        "signatures": len(there),
        "strangers": sum(item.status == "stranger" for item in there),
        "publisher": best.publisher if best else None,
        "method": best.method if best else None,
        "signer": best.signer if best else None,
        "files-signed": len(best.files) if best else None,
        "proves-publisher": "its key signed these very bytes: whoever holds the hub account could not",
    }


CHECK = Check(name=NAME, version=VERSION, stage=Stage.FILES, rules=(INVALID, INCOMPLETE, MISSING), run=run)
