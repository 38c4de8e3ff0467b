"""From what an argument says to a finding: a hub's model, a local folder, or unknown."""

from __future__ import annotations

from dataclasses import dataclass

from registry_gate.enforce.audit.hubs import Named, Says, pinned
from registry_gate.enforce.audit.loaders import Loader
from registry_gate.enforce.audit.sighting import Seen, Sighting
from registry_gate.finding import Severity

_MOST = 8


@dataclass(frozen=True, slots=True)
class Argument:
    """The call that is judged: its name, its place and the revision it asks for."""

    subject: str
    line: int
    column: int
    revision: str | None

    def sighting(
        self, rule: str, detail: str = "", model: str | None = None, severity: Severity | None = None
    ) -> Sighting:
        """A sighting at this call."""
        return Sighting(rule, self.line, self.subject, detail, model, self.revision, severity, self.column)


def judge_model(
    loader: Loader,
    asked: Argument,
    named: tuple[Named | None, ...],
    *,
    offline: bool = False,
    dataset: bool = False,
) -> Seen:
    """What loading these names means.

    Args:
        loader: how it is loaded.
        asked: where.
        named: all that the argument may be; None stands for what could not be told.
        offline: whether the call may only read local files.
        dataset: whether the call says that it fetches a data set.
    """
    hub = [item for item in named if item is not None and item.says in (Says.HUB, Says.URL)][:_MOST]
    if hub:
        return _of_hub(loader, asked, hub, offline=offline, dataset=dataset)
    if any(item is None for item in named):
        severity = Severity.LOW if offline else None
        return Seen((asked.sighting("model-not-told", "", severity=severity),))
    if any(item is not None and item.says is Says.LOCAL for item in named):
        return Seen((asked.sighting("unverified-weights", "a local folder"),))
    return Seen()


def _of_hub(loader: Loader, asked: Argument, hub: list[Named], *, offline: bool, dataset: bool) -> Seen:
    severity = Severity.LOW if dataset else Severity.MEDIUM if offline else None
    detail = "a data set" if dataset else ""
    found = []
    for item in {entry.model: entry for entry in hub}.values():
        one = asked.sighting(loader.rule, detail, item.model, severity)
        found.append(one)
    if not dataset and loader.rule in ("hub-load", "hub-download", "hub-serve", "remote-code"):
        found += _unpinned(asked, hub)
    return Seen(tuple(found))


def _unpinned(asked: Argument, hub: list[Named]) -> list[Sighting]:
    revision = asked.revision or next((item.revision for item in hub if item.revision), None)
    if pinned(revision):
        return []
    said = f"revision {revision!r} can be moved" if revision else "no revision is named"
    severity = Severity.MEDIUM if revision and revision != "{}" else None
    return [asked.sighting("unpinned-revision", said, hub[0].model, severity)]
