"""``registry-gate scan``: everything up to the decision; nothing is signed or registered."""

from __future__ import annotations

from typing import Annotated

import typer

from registry_gate.cli.admit import (
    As,
    Device,
    Endpoint,
    Output,
    OutputFormat,
    PolicyName,
    ProbeData,
    Revision,
    Seed,
    Token,
    show,
)
from registry_gate.cli.explain_pickle import explain_pickle as explain
from registry_gate.cli.show import ReportFormat, check_output, progress_bars


def scan(
    ref: Annotated[
        str, typer.Argument(metavar="REF|FOLDER|FILE", help="A hub id, a local folder or one file.")
    ],
    as_id: As = None,
    revision: Revision = None,
    endpoint: Endpoint = None,
    policy: PolicyName = "default",
    device: Annotated[Device, typer.Option(help="Where the behaviour tests run.")] = Device.AUTO,
    probe_data: ProbeData = None,
    seed: Seed = 0,
    format_: OutputFormat = ReportFormat.TEXT,
    output: Output = None,
    token: Token = None,
    explain_pickle: Annotated[
        bool,
        typer.Option("--explain-pickle", help="Show what one file's pickles would import, call and set."),
    ] = False,
) -> int:
    """Look at a model, a folder or one file, and say what was found.

    Everything up to the decision; nothing is signed or registered. For one file only its bytes and tensors
    are judged, and exit status 0 means "no finding", never "admitted". `admit` also asks whether it converts.
    """
    if explain_pickle:
        return explain(ref, policy, output)
    from registry_gate import settings
    from registry_gate.admission import Request
    from registry_gate.admission import scan as scan_model
    from registry_gate.policy import load_policy

    check_output(output)
    with progress_bars() as progress:
        request = Request(
            ref,
            policy=load_policy(policy),
            settings=settings.load(),
            revision=revision,
            endpoint=endpoint,
            as_id=as_id,
            token=token,
            device=device.value,
            probe_data=probe_data,
            seed=seed,
        )
        report = scan_model(request, progress=progress)
    return show(report, format_, output)
