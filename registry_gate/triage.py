"""``triage PATH``: the weights of a file or folder measured where they lie, judged and compared."""

from __future__ import annotations

import stat
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from registry_gate import version
from registry_gate.candidate import Candidate, Snapshot, SnapshotFile, SourceKind
from registry_gate.checks import CHECKS
from registry_gate.decision import disposition
from registry_gate.errors import FetchError, ToolError
from registry_gate.evidence import CopyPlan, Evidence, Facts, Staged, TensorMeasurement, WeightSet
from registry_gate.examine.files import examine_file, examine_files
from registry_gate.finding import CheckResult, Status
from registry_gate.policy import Disposition, Policy
from registry_gate.progress import Progress
from registry_gate.record import Record
from registry_gate.weights.carrying import weights_like
from registry_gate.weights.devices import device_for
from registry_gate.weights.drift import Drift, drift
from registry_gate.weights.fingerprint import Fingerprint, fingerprint
from registry_gate.weights.measuring import measure_file
from registry_gate.weights.regions import Meters
from registry_gate.weights.selection import select_weights
from registry_gate.weights.statistics import TensorMeter

_FILES = frozenset({"file-formats", "pickle-program", "pickle-scanner"})
_TENSORS = frozenset({"weight-values", "final-rows", "low-bits"})
_NOWHERE = Candidate(kind=SourceKind.FOLDER, endpoint="", id="unnamed")


class Triage(Record):
    """What was seen. ``clean`` is False for anything that a person should look at before use.

    ``results`` are of the checks that apply to weights alone; ``unread`` names files that look like weights
    and were not measured, each with the reason; ``drift`` is None where no reference was given. ``device``
    says what took the statistics, and why not the device that was wanted.
    """

    path: str
    files: tuple[str, ...]
    tensors: int
    elements: int
    bytes: int
    seconds: float
    device: str
    results: tuple[CheckResult, ...]
    unread: tuple[tuple[str, str], ...]
    drift: tuple[Drift, ...] | None
    clean: bool


def triage(
    path: Path, policy: Policy, reference: Fingerprint | None, progress: Progress, device: str = "auto"
) -> tuple[Triage, Fingerprint | None]:
    """Measure and judge the weights of a file or a folder.

    In a folder the set that a loader would take is measured; where there is none, every file with tensors.

    Args:
        path: a regular file or a folder.
        policy: limits, thresholds and what findings mean.
        reference: of an earlier model, to compare with.
        progress: stages ``read`` in files and ``measure`` in bytes.
        device: ``auto``, ``cpu`` or ``cuda``: what takes the statistics. The weights are measured in this
            process, which parses nothing: the confined child needs no device.

    Returns:
        The report, and the fingerprint where any tensor was measured.

    Raises:
        FetchError: ``unreadable``.
        Refused: ``bad-copy-plan``, ``bytes-changed``.
        ToolError: the readers could not be confined; ``device-failed``.
        UsageError: ``bad-device``.
    """
    started = time.perf_counter()
    root, facts, chosen = _read(path, policy, progress)
    tensors, used = _measure(root, chosen, progress, device)
    results = _judge(facts, chosen, tensors, policy)
    found = fingerprint(tensors) if tensors else None
    moved = drift(reference, found) if reference and found else None
    measured = {plan.source for plan in chosen.plans}
    unread = tuple(
        (file.path, _why(facts, file.path))
        for file in facts.files
        if file.path not in measured and (weights_like(file) or not file.understood)
    )
    report = Triage(
        path=str(path),
        files=tuple(plan.source for plan in chosen.plans),
        tensors=len(tensors),
        elements=sum(item.elements for item in tensors),
        bytes=sum(tensor.nbytes for plan in chosen.plans for tensor in plan.tensors),
        seconds=round(time.perf_counter() - started, 3),
        device=used,
        results=results,
        unread=unread,
        drift=moved,
        clean=bool(tensors) and not moved and not unread and not _alarming(results, policy),
    )
    return report, found


def _read(path: Path, policy: Policy, progress: Progress) -> tuple[Path, Facts, WeightSet]:
    """What the confined readers say, and which files to measure."""
    try:
        if path.is_dir():
            facts = examine_files(_listed(path), policy, progress)
            chosen = select_weights(facts, policy)
            return path, facts, chosen if chosen.plans else _every_file(facts)
        if not stat.S_ISREG(path.stat().st_mode):
            raise FetchError("unreadable", f"{path} is neither a file nor a folder")
        real = path.resolve(strict=True)
        facts = examine_file(real, policy, progress)
        return real.parent, facts, _every_file(facts)
    except OSError as error:
        raise FetchError(
            "unreadable", f"{path}: {error.strerror or error}", todo="name a file or a folder that is there"
        ) from error


def _listed(root: Path) -> Snapshot:
    """Every regular file below a folder; nothing is copied, so there is no digest to hold it to yet."""
    files = tuple(
        SnapshotFile(path=path.relative_to(root).as_posix(), size=path.stat().st_size, sha256="0" * 64)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".git" not in path.relative_to(root).parts
    )
    return Snapshot(listing_digest="sha256:" + "0" * 64, root=root, files=files)


def _every_file(facts: Facts) -> WeightSet:
    plans = tuple(
        CopyPlan(source=file.path, target=file.path, tensors=file.tensors)
        for file in facts.files
        if file.tensors and file.understood
    )
    return WeightSet(plans=plans)


def _measure(
    root: Path, chosen: WeightSet, progress: Progress, device: str
) -> tuple[tuple[TensorMeasurement, ...], str]:
    """The measurements, and what took them, in words."""
    total = sum((root / plan.source).stat().st_size for plan in chosen.plans)
    opened, words = device_for(device, total)
    if opened is None:
        return _measured(root, chosen, progress, total, TensorMeter), words
    try:
        return _measured(root, chosen, progress, total, opened.meter), words
    except ToolError as error:
        if error.code != "device-failed" or device != "auto":
            raise
        # everything again: half of one device's numbers and half of another's would be hard to account for
        words = f"cpu, because {opened.name} was tried and failed: {error.message}"
        return _measured(root, chosen, progress, total, TensorMeter), words


def _measured(
    root: Path, chosen: WeightSet, progress: Progress, total: int, meters: Meters
) -> tuple[TensorMeasurement, ...]:
    before, found = 0, list[TensorMeasurement]()
    with tempfile.TemporaryDirectory(prefix="registry-gate-") as scratch:
        for plan in chosen.plans:

            def done(count: int, base: int = before) -> None:
                progress("measure", min(base + count, total), total)

            found += measure_file(root / plan.source, plan, Path(scratch), done, meters)
            before += (root / plan.source).stat().st_size
    return tuple(found)


def _judge(
    facts: Facts, chosen: WeightSet, tensors: tuple[TensorMeasurement, ...], policy: Policy
) -> tuple[CheckResult, ...]:
    evidence = Evidence(
        gate_version=version.VERSION,
        observed_at=datetime.now(UTC),
        candidate=_NOWHERE,
        registered_name="unnamed",
        facts=facts,
        weight_set=chosen,
        staged=Staged(files=(), tensors=tensors) if tensors else None,
    )
    wanted = _FILES | _TENSORS
    return tuple(check.run(evidence, policy) for check in CHECKS if check.name in wanted)


def _alarming(results: tuple[CheckResult, ...], policy: Policy) -> bool:
    """A finding that would keep a model from admission, or a check that failed."""
    findings = (finding for result in results for finding in result.findings)
    return any(result.status is Status.ERROR for result in results) or any(
        disposition(finding, policy) is not Disposition.ALLOW for finding in findings
    )


def _why(facts: Facts, path: str) -> str:
    file = facts.file(path)
    if file is None or file.understood:
        return "other weights than those that a loader would take"
    return "; ".join(f"{problem.code}: {problem.detail[:120]}" for problem in file.problems[:2])
