"""``registry-gate inventory``: every model that a code base uses."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import Output, PolicyName
from registry_gate.cli.audit import Exclude, Paths, rulebook
from registry_gate.cli.show import check_output, emit, progress_bars
from registry_gate.finding import Severity

if TYPE_CHECKING:
    from registry_gate.enforce.inventory import Inventory


class InventoryFormat(StrEnum):
    """How an inventory is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    CYCLONEDX = "cyclonedx"


def inventory(
    paths: Paths,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify the Release of each admitted model, to the last byte.")
    ] = False,
    exclude: Exclude = None,
    policy: PolicyName = "default",
    format_: Annotated[
        InventoryFormat, typer.Option("--format", help="text, json, csv, or cyclonedx (1.6, validated).")
    ] = InventoryFormat.TEXT,
    output: Output = None,
) -> int:
    """List every model that a code base or a set of manifests uses, and what index and log say of each.

    Source, commit, owner, licence, verdict, age, signature, and for what is revoked or superseded why, and
    what to load instead. The licence is that of the admission's record on this machine or, with --verify, of
    the signed bill of materials. Models that are not known are counted, and so is the share of loads that
    keep to the road. Exit status 0: the list was made, whatever is on it.
    """
    from registry_gate import settings
    from registry_gate.enforce import inventory as listing
    from registry_gate.enforce.audit.baseline import NO_DEBT

    check_output(output)
    rules = rulebook(policy, Severity.MEDIUM, NO_DEBT, exclude)
    verifier = listing.verify_signature if verify else listing.not_checked
    with progress_bars() as progress:
        found = listing.inventory(
            paths, rules, verifier, listing.filed_licences(settings.load()), progress=progress
        )
    emit(_shown(found, format_), output)
    return 0


def _shown(found: Inventory, format_: InventoryFormat) -> str:
    from registry_gate.enforce import inventory_render as render

    if format_ is InventoryFormat.JSON:
        return found.model_dump_json(indent=2) + "\n"
    if format_ is InventoryFormat.CSV:
        return render.as_csv(found)
    return render.as_cyclonedx(found) if format_ is InventoryFormat.CYCLONEDX else render.as_text(found)
