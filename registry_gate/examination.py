"""From a source to Evidence: the corridor up to the decision, cheap before dear."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from registry_gate import version
from registry_gate.candidate import Snapshot, registered_name
from registry_gate.checks import CHECKS
from registry_gate.checks.check import Check, Stage
from registry_gate.decision import disposition
from registry_gate.errors import Refused
from registry_gate.evidence import Evidence, Facts, FileFormat, History, Problem
from registry_gate.examine.behaviour import Probing, examine_behaviour
from registry_gate.examine.files import examine_files
from registry_gate.finding import CheckResult, Status
from registry_gate.intake.signatures import examine_signatures
from registry_gate.leftovers import FETCHED, STAGED
from registry_gate.policy import Disposition, Policy
from registry_gate.progress import Progress, silent
from registry_gate.sources import Source
from registry_gate.weights.selection import select_weights, whole_file
from registry_gate.weights.stream import stage

_DOCUMENTS = (FileFormat.JSON, FileFormat.TEXT, FileFormat.YAML, FileFormat.SENTENCEPIECE, FileFormat.IMAGE)


@dataclass(frozen=True)
class Options:
    """How to examine: how behaviour is tested, which checks are out of scope.

    ``full`` goes on after a rejection, so that the report holds every reason and not the first stage's only.
    ``stages`` are walked, the others left out; a ``bare_file`` has no repository around it.
    """

    probing: Probing = field(default_factory=Probing)
    full: bool = False
    out_of_scope: frozenset[str] = frozenset()
    stages: frozenset[Stage] = frozenset(Stage)
    bare_file: bool = False


@dataclass
class Examination:
    """One walk down the corridor: the evidence so far, the workspace, and seconds a step."""

    source: Source
    policy: Policy
    options: Options
    workspace: Path
    evidence: Evidence
    progress: Progress = silent
    snapshot: Snapshot | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def list(self) -> None:
        """Candidate -> Listing."""
        if self.evidence.listing is None:
            self._record(listing=self.source.resolve(self.policy))

    def fetch(self) -> None:
        """Listing -> Snapshot."""
        listing = self.evidence.listing
        if listing is not None:
            self.snapshot = self.source.fetch(
                listing, self.workspace / "snapshot", self.policy, self.progress, self.workspace / FETCHED
            )
            shutil.rmtree(self.workspace / FETCHED, ignore_errors=True)  # of another commit
            self._record(snapshot=self.snapshot.files)

    def prove(self) -> None:
        """Snapshot -> what the publisher's signatures in it say, if there are any."""
        if self.snapshot is not None and not self.options.bare_file:
            candidate, seen = self.evidence.candidate, self.evidence.observed_at
            signatures = examine_signatures(self.snapshot, candidate, self.policy, seen)
            self._record(signatures=signatures)

    def read(self) -> None:
        """Snapshot -> Facts, and the one set of weights that a Release would carry."""
        if self.snapshot is not None:
            facts = examine_files(self.snapshot, self.policy, self.progress)
            if self.options.bare_file:
                self._record(facts=facts, weight_set=whole_file(facts, self.policy))
                self._narrow_to(facts)
            else:
                self._record(facts=facts, weight_set=select_weights(facts, self.policy))

    def convert(self) -> None:
        """Facts -> Staged; nothing to do where no set of weights could be chosen."""
        chosen = self.evidence.weight_set
        if self.snapshot is not None and chosen is not None and chosen.plans:
            target, kept = self.workspace / "staged", self.workspace / STAGED
            self._record(staged=stage(self.snapshot, chosen, target, self.progress, kept))

    def behave(self) -> None:
        """Staged -> Behaviour."""
        if self.evidence.staged is not None:
            options = self.options
            self._record(
                behaviour=examine_behaviour(
                    self.evidence.staged,
                    self.policy,
                    options.probing,
                    progress=self.progress,
                )
            )

    def judge(self, stage_: Stage) -> None:
        """Let the checks of one stage judge what is known by now."""
        for check in self._checks(stage_):
            started = time.perf_counter()
            result = check.run(self.evidence, self.policy)
            timed = result.model_copy(update={"seconds": round(time.perf_counter() - started, 6)})
            self._record(results=(*self.evidence.results, timed))

    def skip(self, stage_: Stage, reason: str) -> None:
        """Record that the checks of a stage were spared."""
        spared = tuple(
            CheckResult(name=check.name, version=check.version, status=Status.NOT_RUN, reason=reason)
            for check in self._checks(stage_)
        )
        self._record(results=(*self.evidence.results, *spared))

    def rejected(self) -> bool:
        """True once some finding rejects under the policy."""
        findings = (finding for result in self.evidence.results for finding in result.findings)
        return any(disposition(finding, self.policy) is Disposition.REJECT for finding in findings)

    def walk(self, name: str, step: Callable[[], None]) -> None:
        """Take one step, timed; what the step itself refuses becomes evidence."""
        started = time.perf_counter()
        try:
            step()
        except Refused as refusal:
            problem = Problem(code=refusal.code, detail=refusal.message)
            self._record(refusals=(*self.evidence.refusals, problem))
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def _narrow_to(self, facts: Facts) -> None:
        """A document on its own, read in full, holds no weights that could be judged."""
        if all(file.understood and file.format in _DOCUMENTS for file in facts.files):
            spared = {check.name for check in self._checks(Stage.TENSORS)}
            self.options = replace(self.options, stages=self.options.stages - {Stage.TENSORS})
            self._record(out_of_scope=tuple(sorted({*self.evidence.out_of_scope, *spared})))

    def _checks(self, stage_: Stage) -> Iterable[Check]:
        chosen = (check for check in CHECKS if check.stage is stage_)
        return tuple(check for check in chosen if check.name not in self.options.out_of_scope)

    def _record(self, **seen: object) -> None:
        self.evidence = self.evidence.model_copy(update=seen)


def examine(
    source: Source,
    policy: Policy,
    options: Options,
    workspace: Path,
    *,
    now: datetime,
    progress: Progress = silent,
) -> Examination:
    """Walk a candidate down the corridor until something rejects it or everything has looked.

    Args:
        source: where the candidate comes from.
        policy: what the checks hold it against.
        options: probe data, device, seed, scope.
        workspace: an empty private folder; ``snapshot`` and ``staged`` appear in it.
        now: aware time of the examination.
        progress: see :data:`registry_gate.progress.Progress`.

    Raises:
        FetchError, ToolError: nothing can be decided.
    """
    walk = begin(source, policy, options, workspace, now=now, progress=progress)
    walk.walk("list", walk.list)
    return resume(walk)


def begin(
    source: Source,
    policy: Policy,
    options: Options,
    workspace: Path,
    *,
    now: datetime,
    progress: Progress = silent,
    history: History | None = None,
) -> Examination:
    """The examination before its first step; ``history`` is what the log knows of the candidate."""
    evidence = Evidence(
        gate_version=version.VERSION,
        observed_at=now,
        candidate=source.candidate,
        registered_name=registered_name(source.candidate.id),
        out_of_scope=tuple(sorted(options.out_of_scope)),
        history=history,
    )
    return Examination(source, policy, options, workspace, evidence, progress)


def resume(walk: Examination) -> Examination:
    """Everything after the listing."""
    corridor: tuple[tuple[Stage, tuple[tuple[str, Callable[[], None]], ...]], ...] = (
        (Stage.METADATA, ()),
        (Stage.FILES, (("fetch", walk.fetch), ("prove", walk.prove), ("read", walk.read))),
        (Stage.TENSORS, (("convert", walk.convert),)),
        (Stage.BEHAVIOUR, (("behaviour", walk.behave),)),
    )
    for stage_, steps in corridor:
        if stage_ not in walk.options.stages:
            continue
        if walk.rejected() and not walk.options.full:
            walk.skip(stage_, "an earlier stage rejected the candidate")
            continue
        for name, step in steps:
            walk.walk(name, step)
        walk.judge(stage_)
    return walk
