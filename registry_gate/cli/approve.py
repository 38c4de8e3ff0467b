"""``registry-gate approve``: a person's signed word on what needed review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.keys import APPROVER_VARIABLE, Home
from registry_gate.cli.show import emit
from registry_gate.errors import FetchError, UsageError

if TYPE_CHECKING:
    from registry_gate.signing.keys import KeySigner


def approve(
    what: Annotated[
        str | None,
        typer.Argument(metavar="EVIDENCE|SEQUENCE", help="The report's evidence digest or sequence number."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it may pass; it stays in the log.")] = "",
    approver: Annotated[
        str | None, typer.Option(help="Your name in the trust file; your account's if not said.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your private key; the one made here if not said.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            help="Passphrase of your key, if encrypted (REGISTRY_GATE_APPROVER_PASSPHRASE, or asked for)."
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=366, help="How long it counts, if the policy counts one that long.")
    ] = 30,
    output: Annotated[
        Path | None, typer.Option(help="Write the approval for the gate to accept, and record nothing here.")
    ] = None,
    accept: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record an approval that somebody signed elsewhere.")
    ] = None,
    home: Home = None,
) -> None:
    """Approve a candidate whose verdict is `review`; then run the same `admit` again, and it finishes.

    The approval is signed with your own key (`registry-gate keys init-approver`), speaks for the evidence of
    this one examination, expires, and never turns a `reject` into anything. Where the policy wants it so
    (`separate_approver`), it counts only if somebody else asked for the admission.
    """
    from registry_gate import review, settings
    from registry_gate.ledger import open_ledger
    from registry_gate.log.admission_log import AdmissionLog
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(home)
    if accept is not None:
        bundle = _read(accept)
    else:
        if what is None or len(reason.strip()) < 3:
            raise UsageError("nothing-to-approve", "name what to approve, and say why with --reason")
        name = approver or review.this_account()
        entry = review.in_review(AdmissionLog(loaded.log, effective_trust(loaded)), what)
        signer = _opened(key or loaded.approver_keys / f"{name}.pem", passphrase_file)
        bundle = review.approve(entry, name, reason, days, signer)
        if output is not None:
            emit(bundle.decode() + "\n", output)
            return
    ledger = open_ledger(loaded)
    recorded = review.accept(ledger.log, ledger.trust, bundle)
    ledger.witness()
    emit(f"approved    entry {recorded.sequence}; run the same admit again to finish\n", None)


def _opened(path: Path, passphrase_file: Path | None) -> KeySigner:
    from registry_gate.settings import PassphraseSource
    from registry_gate.signing.approval import load_approver
    from registry_gate.signing.passphrase import passphrase_from
    from registry_gate.signing.private_keys import is_encrypted

    source = PassphraseSource(variable=APPROVER_VARIABLE, file=passphrase_file)
    said = passphrase_from(source, ask="passphrase of your key: " if is_encrypted(path) else None)
    return load_approver(path, said.encode() if said is not None else None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().rstrip(b"\n")
    except OSError as error:
        raise FetchError("approval-unreadable", f"{path}: {error.strerror}") from error
