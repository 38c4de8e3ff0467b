"""A new signing key while the old one is still believed, and the end of an old one."""

from __future__ import annotations

from pathlib import Path

from registry_gate.errors import UsageError
from registry_gate.ledger import Ledger
from registry_gate.log.entries import KeyBody
from registry_gate.settings import Settings
from registry_gate.signing.key_files import make_key_file
from registry_gate.signing.keys import KeySigner, load_signer
from registry_gate.signing.trust import RetiredKey, Trust, TrustedKey, load_trust, save_trust

_KEY, _PUBLIC = "signing-key.pem", "signing-key.pub.pem"


def rotate(ledger: Ledger) -> TrustedKey:
    """Make a new signing key; both are believed until the old one is retired.

    The old key's last act is to record the new one. Killed on the way, the next call goes on with the same
    new key. What the old key signed stays as it is.

    Raises:
        UsageError: ``bad-private-key``; ToolError: the log or the index could not be written.
    """
    folder = ledger.settings.keys
    following = folder / f"{_KEY}.next"
    key = KeySigner(make_key_file(following, "next signing key")).key
    trust = load_trust(ledger.settings.trust)
    if key not in trust.keys:
        save_trust(ledger.settings.trust, _checked(trust, keys=(key, *trust.keys)))
    bodies = (entry.body for entry in ledger.log.entries())
    if not any(isinstance(body, KeyBody) and body.key_id == key.key_id for body in bodies):
        ledger.record(KeyBody(action="added", key_id=key.key_id))
    _put_in_place(folder, following, key)
    return key


def _put_in_place(folder: Path, following: Path, key: TrustedKey) -> None:
    count = sum(1 for _ in folder.glob(f"{_KEY}.replaced-*"))
    (folder / f"{_KEY}.replaced-{count + 1}").hardlink_to(folder / _KEY)
    public = folder / f".{_PUBLIC}.partial"
    public.write_text(key.public_key)
    following.replace(folder / _KEY)
    public.replace(folder / _PUBLIC)


def retire(ledger: Ledger, key_id: str, reason: str, after: int | None = None) -> RetiredKey:
    """Take a key out of the trust file's keys; its log entries up to a number stay readable as history.

    Nothing that it signed loads from then on: have it renewed or admitted again first.

    Args:
        ledger: the gate's books, open with another key.
        key_id: the key's id, or an unambiguous beginning of it.
        reason: for the log and the trust file.
        after: the last entry to believe, where the key was stolen; the log's last if None.

    Raises:
        UsageError: ``no-such-key``, or ``key-in-use`` for the key that signs now.
    """
    trust = load_trust(ledger.settings.trust)
    key = _named(trust, key_id)
    if key == load_signer(ledger.settings).key:
        raise UsageError(
            "key-in-use",
            f"{key.key_id[:16]}… is the key that signs now",
            why="the gate could sign nothing that is believed",
            todo="make a new one first: `registry-gate keys rotate`",
        )
    last = ledger.log.head().length if after is None else after
    retired = RetiredKey(key=key, last_sequence=last, reason=reason)
    ledger.record(KeyBody(action="retired", key_id=key.key_id, last_sequence=last, reason=reason))
    keys = tuple(item for item in trust.keys if item != key)
    save_trust(ledger.settings.trust, _checked(trust, keys=keys, retired_keys=(*trust.retired_keys, retired)))
    return retired


def trust_approver(settings: Settings, name: str) -> Trust:
    """Make an approver's key and name it in the user's trust file; raises ``bad-approver-name``."""
    from registry_gate.signing.approval import make_approver

    approver = make_approver(settings.approver_keys, name)
    trust = load_trust(settings.trust)
    if approver not in trust.approvers:
        trust = _checked(trust, approvers=(*trust.approvers, approver))
        save_trust(settings.trust, trust)
    return trust


def _named(trust: Trust, key_id: str) -> TrustedKey:
    found = [key for key in trust.keys if key.key_id.startswith(key_id)]
    if len(found) != 1 or len(key_id) < 8:
        raise UsageError(
            "no-such-key",
            f"{key_id[:100]!r} names {len(found)} keys of the trust file",
            todo="give at least 8 digits of a key id of `registry-gate keys show`",
        )
    return found[0]


def _checked(trust: Trust, **changes: tuple[object, ...]) -> Trust:
    return Trust.from_json(trust.model_copy(update=changes).canonical())
