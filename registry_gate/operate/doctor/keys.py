"""Keys and trust: who may read them, do they belong together, do they still hold?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, not_set_up, ok
from registry_gate.settings import Settings
from registry_gate.signer.passphrase import read_passphrase
from registry_gate.signer.process import SignerProcess
from registry_gate.signing.keys import load_log_signer, log_key_path, private_key_path
from registry_gate.signing.private_keys import is_encrypted

_SOON_DAYS = 30


def _trust_file(installation: Installation) -> Said:
    settings = installation.settings
    files = [path for path in (settings.trust, settings.administrator_trust) if os.path.lexists(path)]
    if not files and not private_key_path(settings).exists():
        return not_set_up("neither trust file nor keys", "run `registry-gate keys init`, or admit a model")
    trust = installation.trust  # raises where it cannot be used
    for path in files:
        if problem := _writable_by_others(path):
            return failed(problem, f"chmod go-w {path} and its folder: who writes it decides who is believed")
    if settings.administrator_trust in files and _own(settings.administrator_trust):
        path = settings.administrator_trust
        return failed(f"{path} belongs to this user", f"chown root {path}: a ceiling must not be the user's")
    signers = len(trust.keys) + len(trust.identities) + len(trust.certificates)
    measured = f"{signers} signers, {len(trust.policies)} policies, {len(trust.approvers)} approvers"
    where = ", cut down to the administrator's" if settings.administrator_trust in files else ""
    return ok(f"{measured}{where}")


def _own(path: Path) -> bool:
    return os.geteuid() != 0 and path.lstat().st_uid == os.geteuid()


def _writable_by_others(path: Path) -> str | None:
    """Whether somebody but the owner can change a file, or put another in its place."""
    for place in (path, path.parent):
        status = place.stat()
        sticky = place is not path and status.st_mode & stat.S_ISVTX
        if status.st_mode & 0o022 and not sticky:
            return f"{place} can be written by others (mode {status.st_mode & 0o7777:04o})"
        if status.st_uid not in (0, os.geteuid()):
            return f"{place} belongs to user {status.st_uid}"
    return None


def _key_files(installation: Installation) -> Said:
    settings = installation.settings
    found = list(_private_files(settings))
    if not found:
        return not_set_up("no private keys here", "run `registry-gate keys init`, or admit a model")
    for path in (*found, *dict.fromkeys(path.parent for path in found)):
        status = path.lstat()
        forbidden = 0o022 if stat.S_ISDIR(status.st_mode) else 0o077
        if status.st_mode & forbidden and not stat.S_ISLNK(status.st_mode):
            mode = "go-w" if path.is_dir() else "600"
            return failed(
                f"{path} is open to others (mode {status.st_mode & 0o7777:04o})",
                f"chmod {mode} {path}, and consider the key known if others use this machine",
            )
        if status.st_uid != os.geteuid() or stat.S_ISLNK(status.st_mode):
            return failed(f"{path} is a link, or belongs to another user", "put the file itself there")
    root = settings.index_keys / "root.pem"
    return ok(
        f"{len(found)} private files, each for their owner only",
        f"move {root} off this machine: it is needed once in a few years" if root.exists() else "",
    )


def _private_files(settings: Settings) -> Iterator[Path]:
    for folder in (settings.keys, settings.index_keys, settings.approver_keys):
        for path in sorted(folder.glob("*.pem*")) if folder.is_dir() else ():
            if not path.name.endswith(".pub.pem"):
                yield path
    signing = settings.signing
    named = (signing.passphrase_file, signing.sigstore_token_file, signing.certificate_key)
    yield from (path for path in named if path is not None and path.exists())


def _signing_key(installation: Installation) -> Said:
    """Ask the real signer, confined as always, whether it could sign."""
    settings = installation.settings
    signing = settings.signing
    if signing.sign_with == "sigstore":
        accepted = len(installation.trust.identities)
        if not accepted:
            return failed("the trust file accepts no identity", "run `registry-gate keys trust-identity`")
        return ok(f"keyless: {accepted} identities are accepted; a token is asked for when signing")
    key = signing.certificate_key if signing.sign_with == "certificate" else private_key_path(settings)
    if key is None or not key.exists():
        return not_set_up("no signing key", "run `registry-gate keys init`, or admit a model")
    encrypted = is_encrypted(key)
    passphrase = read_passphrase(signing, ask="passphrase of the signing key: ") if encrypted else None
    SignerProcess(settings, passphrase).check()
    return ok(f"the signer opened its key ({'encrypted' if encrypted else 'not encrypted'}) and is trusted")


def _log_key(installation: Installation) -> Said:
    if not log_key_path(installation.settings).exists():
        return not_set_up("no key for the log", "run `registry-gate keys init`, or admit a model")
    key = load_log_signer(installation.settings).key
    if key not in installation.trust.for_log().keys:
        return failed(
            f"the log's key ({key.key_id[:16]}…) is not in the trust file",
            "restore the key that the trust file pins: one line by this one makes the log unreadable",
        )
    return ok(f"{key.key_id[:16]}…, in the trust file")


def _certificate(installation: Installation) -> Said:
    signing = installation.settings.signing
    if signing.sign_with != "certificate":
        return not_set_up(f"signed with: {signing.sign_with}")
    from registry_gate.signing.company import read_chain

    chain = [*read_chain(signing.certificate), *read_chain(signing.certificate_chain)]
    if not chain:
        return failed("no certificate is named", "set REGISTRY_GATE_CERTIFICATE")
    now = datetime.now(UTC)
    days = (min(item.not_valid_after_utc for item in chain) - now).days
    if any(not item.not_valid_before_utc <= now < item.not_valid_after_utc for item in chain):
        return failed(f"the chain is not valid now ({days} days left)", "have the certificate renewed")
    return ok(f"{days} days left", "have it renewed" if days < _SOON_DAYS else "")


def _approver_keys(installation: Installation) -> Said:
    trust = installation.trust
    own = {key.key_id for key in (*trust.keys, *trust.log_keys)}
    keys = [approver.key.key_id for approver in trust.approvers]
    if not keys:
        return not_set_up("no approvers: what needs review stays out", "see `registry-gate approve --help`")
    if own & set(keys) or len(set(keys)) != len(keys):
        return failed(
            "an approver's key is the gate's own, or another approver's",
            "make a key for each with `registry-gate keys init-approver`",
        )
    here = sorted(installation.settings.approver_keys.glob("*.pem"))
    advice = f"bring {here[0]} to its person: who holds it here can approve" if here else ""
    return ok(f"{len(keys)} approvers, each with a key of their own", advice)


PROBES = (
    Probe("trust-file", "the trust file is whole, and nobody else can write it", _trust_file),
    Probe("key-files", "private keys can be read by their owner only", _key_files),
    Probe("signing-key", "the confined signer opens its key, and the trust file accepts it", _signing_key),
    Probe("log-key", "the log's key is the one that the trust file pins", _log_key),
    Probe("certificate", "the signing certificate is valid now", _certificate),
    Probe("approver-keys", "approvers have keys of their own", _approver_keys),
)
