"""``registry-gate export-admitted``: the list that cluster policies ask."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from registry_gate.cli.admit import Output
from registry_gate.cli.show import check_output, emit
from registry_gate.cli.verify import RegistryUri
from registry_gate.report.escape import for_terminal


class ListFormat(StrEnum):
    """Which policy reads the list."""

    CONFIG_MAP = "configmap"
    REGO_DATA = "rego-data"
    JSON = "json"


def export_admitted(
    gate_image: Annotated[
        list[str] | None,
        typer.Option(help="Image of the gate that pods may pull models with, by digest; may be repeated."),
    ] = None,
    format_: Annotated[
        ListFormat,
        typer.Option("--format", help="configmap for CEL and Kyverno, rego-data for OPA, json for people."),
    ] = ListFormat.CONFIG_MAP,
    keep_superseded: Annotated[
        bool,
        typer.Option(
            "--keep-superseded",
            help="List older versions that are not revoked too, while pods still pin them.",
        ),
    ] = False,
    registry_uri: RegistryUri = None,
    output: Output = None,
) -> int:
    """Write the list of admitted models that the policies under deploy/kubernetes ask.

    Each Release that the log holds a receipt for is held against the index, looked up in the registry, and
    its signed statements are verified. What has expired, was revoked, was superseded or does not verify is
    left out and named on standard error, with what to pin instead. Exit status 2: one was left out for a
    reason that is not the gate's own doing, so somebody changed the registry; or the index is not believed.
    """
    from registry_gate import settings
    from registry_gate.enforce import admitted
    from registry_gate.index.read import read_index
    from registry_gate.log import AdmissionLog
    from registry_gate.signing.trust import effective_trust

    check_output(output)
    loaded = settings.load(registry_uri=registry_uri)
    trust = effective_trust(loaded)
    now = datetime.now(UTC).replace(microsecond=0)
    listed = admitted.admitted_list(
        AdmissionLog(loaded.log, trust),
        read_index(loaded, trust),
        trust,
        loaded.registry_uri,
        gate_image or [],
        now,
        keep_superseded=keep_superseded,
    )
    for item in listed.left_out:
        line = f"left out: {item.name}@{item.manifest_digest}: {item.code}: {item.message}"
        sys.stderr.write(for_terminal(line) + "\n")
        if item.instead:
            sys.stderr.write(for_terminal(f"          pin {item.instead} instead") + "\n")
    if format_ is ListFormat.CONFIG_MAP:
        text = admitted.as_config_map(listed)
    elif format_ is ListFormat.REGO_DATA:
        text = admitted.as_rego_data(listed)
    else:
        text = listed.model_dump_json(indent=2) + "\n"
    emit(text, output)
    return 2 if listed.suspicious else 0
