"""``registry-gate revoke``: what was admitted loads no more."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.keys import Home
from registry_gate.cli.show import emit
from registry_gate.errors import UsageError

if TYPE_CHECKING:
    from registry_gate.index.content import Revocation
    from registry_gate.ledger import Ledger

_RANGE = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")


def revoke(
    what: Annotated[
        str | None,
        typer.Argument(metavar="REF|sha256:...", help="An admitted model, or a manifest digest of one."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; everybody who is refused reads it.")] = "",
    key: Annotated[
        str | None, typer.Option(metavar="KEYID", help="Revoke a signer instead: key id or identity.")
    ] = None,
    since: Annotated[
        int, typer.Option(min=1, help="With --key: what it signed under lower numbers stays.")
    ] = 1,
    sequences: Annotated[
        str | None,
        typer.Option(metavar="A-B", help="Revoke a range of sequence numbers, both ends included."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="With --sequences: of this registered name only.")] = None,
    clear_alias: Annotated[
        bool, typer.Option("--clear-alias", help="Also delete the alias that REF names.")
    ] = False,
    move_alias_to: Annotated[
        int | None,
        typer.Option(metavar="VERSION", help="Also move the alias that REF names to this version."),
    ] = None,
    registry_uri: Annotated[
        str | None, typer.Option(help="MLflow tracking URI; the settings' own by default.")
    ] = None,
    home: Home = None,
) -> None:
    """Revoke what was admitted: it is refused wherever the index is read, from the next load on.

    The log records it; the alias stays where it is unless you say otherwise. Revoking twice changes nothing.
    There is no way back: the same files stay revoked when they are admitted again. Admit another commit.

    Examples: `registry-gate revoke acme/model --reason "poisoned data"`,
    `registry-gate revoke --key 5f2b... --reason "stolen" --since 120`.
    """
    from registry_gate import settings, withdrawal
    from registry_gate.cli.index import described
    from registry_gate.ledger import open_ledger

    if len(reason.strip()) < 3:
        raise UsageError("no-reason", "a revocation needs a --reason", todo="say why, in a sentence")
    if sum(item is not None for item in (what, key, sequences)) != 1:
        raise UsageError("nothing-to-revoke", "name one of: REF or sha256:..., --key, --sequences")
    if (clear_alias or move_alias_to is not None) and (what is None or what.startswith("sha256:")):
        raise UsageError("no-alias", "an alias is changed only together with the REF that names it")
    ledger = open_ledger(settings.load(home, registry_uri=registry_uri))
    if what is not None and move_alias_to is not None:
        withdrawal.check_moves(ledger, what, move_alias_to)
    done = withdrawal.revoke(ledger, _revocation(ledger, what, key, since, sequences, name, reason))
    lines = [f"{'revoked' if done.new else 'was revoked already'}: {described(done.revocation)}"]
    if what is not None and move_alias_to is not None:
        lines.append(withdrawal.move_alias_back(ledger, what, move_alias_to))
    elif what is not None and clear_alias:
        lines.append(withdrawal.clear_alias(ledger, what))
    emit("".join(f"{line}\n" for line in lines), None)


def _revocation(
    ledger: Ledger,
    what: str | None,
    key: str | None,
    since: int,
    sequences: str | None,
    name: str | None,
    reason: str,
) -> Revocation:
    from registry_gate import withdrawal
    from registry_gate.index.content import RevokedSequences, RevokedSigner

    now = datetime.now(UTC)
    if what is not None:
        return withdrawal.named_release(ledger, what, reason)
    if key is not None:
        return RevokedSigner(signed_by=_whole(ledger, key), since=since, reason=reason, revoked_at=now)
    found = _RANGE.fullmatch(sequences or "")
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError("bad-range", f"{sequences!r} is no range of sequence numbers such as 12-40")
    return RevokedSequences(name=name, first=int(found[1]), last=int(found[2]), reason=reason, revoked_at=now)


def _whole(ledger: Ledger, key: str) -> str:
    """The signer that a beginning names; one that signed nothing listed is taken as it is written."""
    signers = {item.signed_by for item in ledger.index.content().listed}
    signers |= {item.key_id for item in ledger.trust.keys}
    found = [signer for signer in signers if signer.startswith(key)] if len(key) >= 8 else []
    if key in signers or not found:
        return key
    if len(found) > 1:
        raise UsageError(
            "bad-reference", f"{key!r} begins {len(found)} signers' names", todo="write more of it"
        )
    return found[0]
