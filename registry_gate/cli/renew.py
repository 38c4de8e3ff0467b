"""``registry-gate renew``: fresh statements before the old ones run out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import RegistryUri, Requester
from registry_gate.cli.show import Format, check_output, emit, progress_bars
from registry_gate.errors import UsageError

if TYPE_CHECKING:
    from registry_gate.renewal import Outcome


def renew(
    ref: Annotated[
        str | None, typer.Argument(metavar="[REF]", help="org/model or models:/name@alias.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Everything ever admitted, under the default alias.")
    ] = False,
    expiring_within: Annotated[
        int | None, typer.Option(metavar="DAYS", min=0, help="Only what expires within so many days.")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="Today's policy: default, strict, research, or the path of a policy file.")
    ] = "default",
    requester: Requester = None,
    registry_uri: RegistryUri = None,
    format_: Annotated[
        Format, typer.Option("--format", help="text for people, json for programs.")
    ] = Format.TEXT,
    output: Annotated[Path | None, typer.Option(help="Write the result to this file.")] = None,
) -> int:
    """Renew an admission that runs out, without fetching the model again.

    The stored evidence is judged again by today's checks under today's policy, and what the store holds is
    verified to the last byte. Only what would still be admitted gets fresh statements, as a new version; what
    would not is refused, and the statement that stands is left alone until it expires. What would need
    review waits for `registry-gate approve`, and nothing is signed of what the index has revoked.

    Examples: `registry-gate renew acme/model`, or, every night,
    `registry-gate renew --all --expiring-within 30`.
    """
    from registry_gate import settings
    from registry_gate.policy import load_policy
    from registry_gate.renewal import RenewalRequest, renew_all
    from registry_gate.renewal import renew as renew_one

    if (ref is None) != all_:
        raise UsageError(
            "what-to-renew", "name one model, or give --all", todo="see `registry-gate renew --help`"
        )
    check_output(output)
    request = RenewalRequest(
        policy=load_policy(policy),
        settings=settings.load(registry_uri=registry_uri),
        requester=requester,
        within=None if expiring_within is None else timedelta(days=expiring_within),
    )
    with progress_bars() as progress:
        found: Iterator[Outcome] = (
            iter((renew_one(ref, request, progress=progress),))
            if ref is not None
            else renew_all(request, progress=progress)
        )
        outcomes = tuple(found)
    emit(_as_json(outcomes) if format_ is Format.JSON else _as_text(outcomes), output)
    return _status(outcomes)


def _status(outcomes: tuple[Outcome, ...]) -> int:
    """A failure is no decision, whatever else was renewed; then a refusal; then 0."""
    codes = {outcome.exit_code for outcome in outcomes}
    return 1 if 1 in codes else max(codes, default=0)


def _as_json(outcomes: tuple[Outcome, ...]) -> str:
    import json

    return json.dumps([outcome.model_dump(mode="json") for outcome in outcomes], indent=2) + "\n"


def _as_text(outcomes: tuple[Outcome, ...]) -> str:
    from registry_gate.report.escape import for_terminal

    lines = [for_terminal(_line(outcome)) for outcome in outcomes] or ["nothing was ever admitted here"]
    return "".join(f"{line}\n" for line in lines)


def _line(outcome: Outcome) -> str:
    head = f"{outcome.code:<18} {outcome.name}@{outcome.alias}"
    if outcome.message:
        return f"{head}  {outcome.message}"
    until = f"until {outcome.expires_at:%Y-%m-%d}" if outcome.expires_at else ""
    if outcome.version is None:
        return f"{head}  {until}".rstrip()
    return f"{head}  {until}, version {outcome.version}, sequence {outcome.sequence}"
