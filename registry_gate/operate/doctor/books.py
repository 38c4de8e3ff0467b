"""The gate's own books: is the index fresh, is it this gate's, is the log whole?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from registry_gate.index.keys import INDEX, TIMESTAMP, key_path, load_key
from registry_gate.index.metadata import key_ids
from registry_gate.index.read import read_lifetimes
from registry_gate.index.repository import IndexRepository
from registry_gate.log.checkpoint import verify_log
from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, not_set_up, ok

_ROOT, _TIMESTAMP = "root", "timestamp"
_SOON = timedelta(days=90)
_ADVICE = {
    _TIMESTAMP: "run `registry-gate index refresh`, from cron well within its life",
    _ROOT: "bring the root's key, and run `registry-gate index rotate-root`",
}
_NO_INDEX = "made by `registry-gate index init-root`, or when the first model is admitted"


def _fresh(installation: Installation) -> Said:
    """As every load reads it: signatures, versions against what was seen, and the life that is left."""
    if installation.trust.index is None:
        return not_set_up("the trust file names no index root", _NO_INDEX)
    now = datetime.now(UTC)
    left = {
        role: ends - now for role, ends in read_lifetimes(installation.settings, installation.trust).items()
    }
    measured = ", ".join(f"{role} {life / timedelta(days=1):.1f} days" for role, life in left.items())
    gone = [role for role, life in left.items() if life <= timedelta(0)]
    if gone:
        return failed(f"{measured}: {', '.join(gone)} expired", _ADVICE.get(gone[0], _ADVICE[_TIMESTAMP]))
    soon = [role for role, life in left.items() if role != _TIMESTAMP and life < _SOON]
    return ok(measured, _ADVICE.get(soon[0], "any change of the index renews it") if soon else "")


def _own(installation: Installation) -> Said:
    """The folder this gate writes: not rolled back, and signed for by keys that are here."""
    settings, trust = installation.settings, installation.trust
    if trust.index is None or not settings.index_keys.is_dir():
        return not_set_up("this machine does not write the index")
    state = IndexRepository(settings, trust).state()
    ids = key_ids(state.root.signed)
    for role in (INDEX, TIMESTAMP):
        path = key_path(settings.index_keys, role)
        following = path.with_name(f"{path.name}.next")
        keys = [load_key(item).public_key.keyid for item in (path, following) if item.exists()]
        if ids[role] not in keys:
            return failed(
                f"{path} is not the key that root {state.root.signed.version} names",
                "bring the newest key, or sign a root for this one with `registry-gate index rotate-root`",
            )
    return ok(
        f"version {state.content.number}, signed by the keys that root {state.root.signed.version} names"
    )


def _log(installation: Installation) -> Said:
    settings, trust = installation.settings, installation.trust
    if trust.index is None and not settings.log.exists():
        return not_set_up("nothing was decided here yet")
    summary = verify_log(settings, trust)
    disowned = f", {len(summary.disowned)} of them by retired keys, believed by nobody"
    witnessed = max((head.length for _, head in summary.witnesses), default=0)
    return ok(
        f"{summary.head.length} entries, {witnessed} witnessed by the index"
        + (disowned if summary.disowned else "")
    )


PROBES = (
    Probe("index-fresh", "the index is signed, the newest seen, and none of it has expired", _fresh),
    Probe("index-own", "the index that this gate writes is whole, and its keys are here", _own),
    Probe("log-whole", "the log is whole, and nothing is cut from its end", _log),
)
