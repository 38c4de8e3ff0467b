"""Is the clock right? Expiry, freshness and the order of what is recorded hang on it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from registry_gate.client.rest import RestRegistry
from registry_gate.index.repository import IndexRepository
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, not_set_up, ok, unknown
from registry_gate.operate.doctor.registry import database

_TOLERATED = timedelta(seconds=60)
_STEP = 2.0  # seconds that the two clocks may drift apart during one run
_NEXT_STEP = "let NTP or chrony set this machine's clock (or the server's), then run again"


def _against_registry(installation: Installation) -> Said:
    """The server's ``Date`` has whole seconds, and may be anything between asking and answering."""
    if database(installation.settings) is not None:
        return not_set_up("an embedded registry has no clock of its own")
    greeting = RestRegistry(installation.settings.registry_uri).greet()
    if greeting.date is None:
        return unknown("the registry sends no usable Date", "compare the clock with another server")
    middle = greeting.asked + (greeting.answered - greeting.asked) / 2
    skew = middle - greeting.date
    uncertain = (greeting.answered - greeting.asked) / 2 + timedelta(seconds=1)
    known_to = uncertain.total_seconds()
    measured = f"{skew.total_seconds():+.1f} s against the registry's Date, known to {known_to:.1f} s"
    if abs(skew) - uncertain > _TOLERATED:
        return failed(measured, _NEXT_STEP)
    return ok(measured)


def _against_records(installation: Installation) -> Said:
    """Nothing that was recorded or signed may lie in the future."""
    settings, trust = installation.settings, installation.trust
    seen: dict[str, datetime] = {}
    if settings.log.exists():
        entries = AdmissionLog(settings.log, trust).entries()
        seen |= {f"entry {entry.sequence}": entry.recorded_at for entry in entries[-1:]}
    if trust.index is not None and settings.index_keys.is_dir():
        state = IndexRepository(settings, trust).state()
        signed = state.timestamp.signed.expires - timedelta(hours=state.content.hours)
        seen["the index's timestamp"] = signed.replace(tzinfo=signed.tzinfo or UTC)
    if not seen:
        return not_set_up("nothing was recorded here yet")
    newest = max(seen, key=lambda what: seen[what])
    ahead = seen[newest] - datetime.now(UTC)
    measured = f"{newest} is {-ahead.total_seconds():.0f} s old"
    if ahead > _TOLERATED:
        return failed(f"{newest} lies {ahead.total_seconds():.0f} s in the future", _NEXT_STEP)
    return ok(measured)


def _steady(installation: Installation) -> Said:
    """During this run, the wall clock went as fast as the clock that nobody can set."""
    wall = (datetime.now(UTC) - installation.began).total_seconds()
    steady = time.monotonic() - installation.began_monotonic
    measured = f"{wall - steady:+.3f} s apart after {steady:.1f} s"
    return failed(measured, _NEXT_STEP) if abs(wall - steady) > _STEP else ok(measured)


PROBES = (
    Probe("clock-registry", "this machine's clock and the registry's agree", _against_registry),
    Probe("clock-records", "nothing that was recorded lies in the future", _against_records),
    Probe("clock-steady", "the clock was not set while this ran", _steady),
)
