"""A new signing key while the old one is still believed, and the end of an old one."""

from __future__ import annotations

from pathlib import Path

from registry_gate.errors import UsageError
from registry_gate.ledger import Ledger
from registry_gate.log.entries import KeyBody
from registry_gate.settings import Settings
from registry_gate.signing.key_files import make_key_file
from registry_gate.signing.keys import (
    KeySigner,
    checked_passphrase,
    load_log_signer,
    log_key_path,
    private_key_path,
    public_half,
    public_key_path,
)
from registry_gate.signing.trust import RetiredKey, Trust, TrustedKey, load_trust, save_trust

_PURPOSE = "next key"


def rotate(ledger: Ledger, passphrase: bytes | None = None) -> TrustedKey:
    """Make a new signing key; both are believed until the old one is retired.

    Killed on the way, the next call goes on with the same new key. What the old key signed stays as it is.

    Args:
        ledger: the gate's books.
        passphrase: encrypts the new key at rest; None leaves it to file permissions.

    Raises:
        UsageError: ``no-signing-key``, ``weak-passphrase``, ``bad-private-key``.
        ToolError: the log or the index could not be written.
    """
    private, public = private_key_path(ledger.settings), public_key_path(ledger.settings)
    public_half(ledger.settings)  # a gate without a signing key has none to replace
    key, following = _following(private, checked_passphrase(passphrase))
    trust = load_trust(ledger.settings.trust)
    _announce(ledger, key, _checked(trust, keys=_first(key, trust.keys)))
    partial = public.with_name(f".{public.name}.partial")
    partial.write_text(key.public_key)
    _put_in_place(private, following)
    partial.replace(public)
    return key


def rotate_log_key(ledger: Ledger) -> TrustedKey:
    """Make a new key for the log, as ``rotate`` does; the old one's last line names the new one."""
    private = log_key_path(ledger.settings)
    key, following = _following(private, None)
    trust = load_trust(ledger.settings.trust)
    _announce(ledger, key, _checked(trust, log_keys=_first(key, trust.log_keys)))
    _put_in_place(private, following)
    return key


def _following(private: Path, passphrase: bytes | None) -> tuple[TrustedKey, Path]:
    following = private.with_name(f"{private.name}.next")
    return KeySigner(make_key_file(following, _PURPOSE, passphrase)).key, following


def _first(key: TrustedKey, keys: tuple[TrustedKey, ...]) -> tuple[TrustedKey, ...]:
    return tuple(dict.fromkeys((key, *keys)))


def _announce(ledger: Ledger, key: TrustedKey, trust: Trust) -> None:
    """Trust the new key, and have it in the log, before anything is signed with it."""
    save_trust(ledger.settings.trust, trust)
    bodies = (entry.body for entry in ledger.log.entries())
    if not any(isinstance(body, KeyBody) and body.key_id == key.key_id for body in bodies):
        ledger.record(KeyBody(action="added", key_id=key.key_id))


def _put_in_place(private: Path, following: Path) -> None:
    count = sum(1 for _ in private.parent.glob(f"{private.name}.replaced-*"))
    private.with_name(f"{private.name}.replaced-{count + 1}").hardlink_to(private)
    following.replace(private)


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
    if key in _in_use(ledger.settings):
        raise UsageError(
            "key-in-use",
            f"{key.key_id[:16]}… is the key that signs now",
            why="the gate could sign nothing that is believed",
            todo="make a new one first: `registry-gate keys rotate`, or `keys rotate --log-key`",
        )
    last = ledger.log.head().length if after is None else after
    retired = RetiredKey(key=key, last_sequence=last, reason=reason)
    ledger.record(KeyBody(action="retired", key_id=key.key_id, last_sequence=last, reason=reason))
    keys = tuple(item for item in trust.keys if item != key)
    log_keys = tuple(item for item in trust.log_keys if item != key)
    changed = _checked(trust, keys=keys, log_keys=log_keys, retired_keys=(*trust.retired_keys, retired))
    save_trust(ledger.settings.trust, changed)
    return retired


def _in_use(settings: Settings) -> tuple[TrustedKey, ...]:
    """The keys that sign now: the log's, and the Releases' where there is one."""
    signing = (public_half(settings),) if private_key_path(settings).exists() else ()
    return (load_log_signer(settings).key, *signing)


def trust_approver(settings: Settings, name: str, passphrase: bytes | None = None) -> Trust:
    """Make an approver's key and name it in the user's trust file.

    Raises:
        UsageError: ``bad-approver-name``, ``weak-passphrase``.
    """
    from registry_gate.signing.approval import make_approver

    approver = make_approver(settings.approver_keys, name, passphrase)
    trust = load_trust(settings.trust)
    if approver not in trust.approvers:
        trust = _checked(trust, approvers=(*trust.approvers, approver))
        save_trust(settings.trust, trust)
    return trust


def _named(trust: Trust, key_id: str) -> TrustedKey:
    found = [key for key in trust.for_log().keys if key.key_id.startswith(key_id)]
    if len(found) != 1 or len(key_id) < 8:
        raise UsageError(
            "no-such-key",
            f"{key_id[:100]!r} names {len(found)} keys of the trust file",
            todo="give at least 8 digits of a key id of `registry-gate keys show`",
        )
    return found[0]


def _checked(trust: Trust, **changes: tuple[object, ...]) -> Trust:
    return Trust.from_json(trust.model_copy(update=changes).canonical())
