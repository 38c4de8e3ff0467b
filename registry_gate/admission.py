"""The corridor: from a reference to a registered Release, or to a refusal with every reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from registry_gate import archive, review
from registry_gate.candidate import registered_name
from registry_gate.decision import Decision, Verdict, decide
from registry_gate.examination import Examination, Options, begin, resume
from registry_gate.examine.behaviour import Probing
from registry_gate.local_scan import scan_local
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import DecisionBody
from registry_gate.log.first_seen import history_of
from registry_gate.opening import open_publisher
from registry_gate.policy import Policy, load_policy
from registry_gate.progress import Progress, silent
from registry_gate.publication import Published, Publisher, Step, no_step
from registry_gate.reference import is_there, open_source
from registry_gate.report.document import Report, make_report, receipt_section, release_section
from registry_gate.self_test import SELF_TEST
from registry_gate.settings import Settings, check_alias
from registry_gate.settings import load as load_settings
from registry_gate.signing.trust import effective_trust
from registry_gate.sources import Source
from registry_gate.weights.readmission import compare
from registry_gate.workspace import open_workspace

SCAN_LEAVES_OUT = frozenset({"convertible", SELF_TEST})
"""``scan`` judges safety; whether the gate can carry the model, and is fit to, is for ``admit`` to ask."""

DRY_RUN_LEAVES_OUT = frozenset({SELF_TEST})


@dataclass(frozen=True)
class Request:
    """What is asked of the gate; every field but the reference has a safe default.

    ``reference`` is ``org/model``, ``org/model@revision``, or a folder together with ``as_id``. ``alias``
    None moves ``approved``, forward only; a named alias is moved backwards too. ``token`` goes to
    ``endpoint`` only.
    ``full_report`` goes on after a rejection, so that every reason is found. ``requester`` is who asks: the
    account that runs this if None; where the policy wants it so, somebody else has to approve a review.
    """

    reference: str
    policy: Policy = field(default_factory=load_policy)
    settings: Settings = field(default_factory=load_settings)
    revision: str | None = None
    endpoint: str | None = None
    as_id: str | None = None
    token: str | None = None
    alias: str | None = None
    device: str = "auto"
    probe_data: Path | None = None
    seed: int = 0
    full_report: bool = False
    requester: str | None = None


def admit(
    request: Request, *, dry_run: bool = False, progress: Progress = silent, step: Step = no_step
) -> Report:
    """Take a model from its source to the registry, or refuse it.

    Args:
        request: what is asked for.
        dry_run: decide, but sign, log and register nothing.
        progress: called as long work goes on.
        step: called with the name of each step just finished (``publication.STEPS``).

    Returns:
        The report; its verdict is ``admit`` only where the Release is registered, or would be on a dry run.

    Raises:
        UsageError, FetchError, ToolError: no decision was made.
        VerificationError: what was signed did not verify when read back; nothing points at it.
    """
    policy, settings = request.policy, request.settings
    source = _open(request)
    name = registered_name(source.candidate.id)
    if request.alias is not None:
        check_alias(request.alias)
    with open_workspace(settings, name, progress) as workspace:
        now = datetime.now(UTC)  # once it is this admission's turn: another one may have signed meanwhile
        publisher = (
            None if dry_run else open_publisher(settings, policy, request.alias, workspace, step, progress)
        )
        if publisher:
            publisher.check_name(source.candidate)
        options = _options(request, out_of_scope=DRY_RUN_LEAVES_OUT if dry_run else frozenset())
        walk = _begin(source, request, options, workspace, now, progress)
        if publisher:
            walk.evidence = walk.evidence.model_copy(update={"self_test": publisher.self_test})
        walk.walk("list", walk.list)
        if publisher and (earlier := _earlier(publisher, walk, request)):
            return earlier
        decision, approvals = _judged(publisher, walk, request, now, workspace)
        step("staged")
        if publisher is None:
            return _report(request, "admit", walk, decision)
        changes = _changes(publisher, walk, settings)
        sequence = publisher.record(walk.evidence, decision, request.requester or review.this_account())
        folder = archive.folder_of(settings, sequence, name)
        archive.file_away(folder, walk.evidence, decision, policy)
        step("decided")
        published = None
        if decision.verdict is Verdict.ADMIT:
            published = publisher.publish(walk.evidence, decision, policy, sequence, approvals)
            review.let_go(settings, name)
        elif decision.verdict is Verdict.REVIEW:
            review.hold(settings, sequence, walk.evidence)
        report = _report(request, "admit", walk, decision, published, folder, publisher.notes + changes)
        archive.file_report(folder, report)
        return report


def _judged(
    publisher: Publisher | None, walk: Examination, request: Request, now: datetime, workspace: Path
) -> tuple[Decision, tuple[str, ...]]:
    """The decision: on what was held and approved since, or else after walking on to the end."""
    if publisher:
        approved = review.approved_earlier(
            publisher.log, publisher.trust, request.settings, request.policy, walk.evidence, workspace, now
        )
        if approved:
            walk.evidence = approved.evidence
            return approved.decision, approved.approvals
    resume(walk)
    return decide(walk.evidence, request.policy, now), ()


def scan(request: Request, *, progress: Progress = silent) -> Report:
    """Everything up to the decision; nothing is signed, logged or registered.

    For one file only its bytes and tensors are judged, and ``admit`` as verdict means "no finding". Raises as
    :func:`admit` does.
    """
    settings, policy = request.settings, request.policy
    options = _options(request, full=True, out_of_scope=SCAN_LEAVES_OUT)
    path = Path(request.reference)
    if request.as_id is None and is_there(request.reference):
        with open_workspace(settings, "scan", progress) as workspace:
            now = datetime.now(UTC)
            walk = scan_local(path, policy, options, workspace, now=now, progress=progress)
            return _report(request, "scan", walk, decide(walk.evidence, policy, now))
    source = _open(request)
    with open_workspace(settings, registered_name(source.candidate.id), progress) as workspace:
        now = datetime.now(UTC)
        walk = _begin(source, request, options, workspace, now, progress)
        walk.walk("list", walk.list)
        resume(walk)
        return _report(request, "scan", walk, decide(walk.evidence, policy, now))


def _open(request: Request) -> Source:
    return open_source(
        request.reference,
        request.policy,
        revision=request.revision,
        endpoint=request.endpoint,
        as_id=request.as_id,
        token=request.token,
    )


def _begin(
    source: Source, request: Request, options: Options, workspace: Path, now: datetime, progress: Progress
) -> Examination:
    """The examination, told what the log knows of this model and its owner, where there is a log."""
    settings, history = request.settings, None
    if settings.log.exists():
        entries = AdmissionLog(settings.log, effective_trust(settings)).entries()
        history = history_of(entries, source.candidate)
    return begin(source, request.policy, options, workspace, now=now, progress=progress, history=history)


def _options(request: Request, *, full: bool = False, out_of_scope: frozenset[str] = frozenset()) -> Options:
    return Options(
        Probing(probe_data=request.probe_data, device=request.device, seed=request.seed),
        full=full or request.full_report,
        out_of_scope=out_of_scope,
    )


def _earlier(publisher: Publisher, walk: Examination, request: Request) -> Report | None:
    """The report of an earlier admission of this commit, where the store still holds it whole."""
    found = publisher.find_earlier(walk.evidence, request.policy)
    if found is None:
        return None
    said = found.verified
    filed = archive.find(request.settings, said.sequence, said.name, said.evidence_digest)
    if filed is None or (request.probe_data and not _was_probed(filed)):
        return None
    published = publisher.finish(said, found.version, walk.evidence.observed_at, reused=True)
    walk.evidence = filed.evidence
    return _report(request, "admit", walk, filed.decision, published, filed.folder)


def _changes(publisher: Publisher, walk: Examination, settings: Settings) -> tuple[str, ...]:
    """What is not as it was when this name was last admitted, in words; the verdict does not depend on it."""
    last = publisher.log.last_admitted(walk.evidence.registered_name)
    if last is None or not isinstance(last.body, DecisionBody):
        return ()
    filed = archive.find(settings, last.sequence, last.body.registered_name, last.body.evidence_digest)
    if filed is None:
        return (f"nothing to compare with: the evidence of sequence {last.sequence} is not on this machine",)
    return tuple(
        f"changed since sequence {last.sequence}: {change.kind}: {change.before} to {change.after} "
        f"{change.detail}".rstrip()
        for change in compare(filed.evidence, walk.evidence)
    )


def _was_probed(filed: archive.Filed) -> bool:
    """Whether the earlier admission looked with probe data too."""
    tests = filed.evidence.behaviour.tests if filed.evidence.behaviour else ()
    return any(test.test == "bounded-pattern" and test.status != "unavailable" for test in tests)


def _report(
    request: Request,
    command: str,
    walk: Examination,
    decision: Decision,
    published: Published | None = None,
    folder: Path | None = None,
    notes: tuple[str, ...] = (),
) -> Report:
    registered = None
    if published:
        registered = (
            release_section(published.verified),
            receipt_section(
                published.receipt, alias_current=published.alias_current, reused=published.reused
            ),
        )
    return make_report(
        command,
        walk.evidence,
        decision,
        subject=request.reference,
        seconds=walk.seconds | (published.seconds if published else {}),
        registered=registered,
        folder=str(folder) if folder else None,
        notes=notes,
    )
