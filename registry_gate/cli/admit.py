"""``registry-gate admit``: from the hub to the registry, or refused."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.show import ReportFormat, check_output, colour_wanted, emit, progress_bars
from registry_gate.errors import UsageError
from registry_gate.report.escape import for_terminal

if TYPE_CHECKING:
    from registry_gate.report.document import Report
    from registry_gate.runtime.strip_guard import StripThreshold


class Signing(StrEnum):
    """How the Release is signed."""

    KEY = "key"
    SIGSTORE = "sigstore"
    CERTIFICATE = "certificate"


class Device(StrEnum):
    """Where the behaviour tests run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


Reference = Annotated[
    str, typer.Argument(metavar="REF", help="org/model, org/model@revision, or a folder with --as.")
]
As = Annotated[
    str | None, typer.Option("--as", metavar="ORG/NAME", help="The id a local folder is known by.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit; resolved once to a commit.")]
Endpoint = Annotated[str | None, typer.Option(help="Origin of the hub; it must be listed in the policy.")]
PolicyName = Annotated[str, typer.Option(help="default, strict, research, or the path of a policy file.")]
ProbeData = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        help="Clean labelled images for the behaviour tests: class folders, a datasets folder, an .npz.",
    ),
]
OutputFormat = Annotated[
    ReportFormat,
    typer.Option(
        "--format", help="text or html for people, json for programs, sarif for code-scanning services."
    ),
]
Output = Annotated[
    Path | None, typer.Option(help="Write the report to this file instead of standard output.")
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="REGISTRY_GATE_HUB_TOKEN", help="Sent to the endpoint only; none is picked up by itself."
    ),
]
SignWith = Annotated[
    Signing | None,
    typer.Option(
        envvar="REGISTRY_GATE_SIGN_WITH",
        help="key: the gate's own, of `keys init`. sigstore: the identity of this CI job, or of the token in "
        "REGISTRY_GATE_SIGSTORE_TOKEN_FILE. certificate: REGISTRY_GATE_CERTIFICATE and _CERTIFICATE_KEY.",
    ),
]
RegistryUri = Annotated[
    str | None, typer.Option(help="MLflow tracking URI; an embedded store of your own by default.")
]
Requester = Annotated[
    str | None,
    typer.Option(
        envvar="REGISTRY_GATE_REQUESTER",
        help="Who asks, where the gate runs for others; the account if not said.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the behaviour tests; it is recorded.")]
Alias = Annotated[
    str | None, typer.Option(help="Alias to move; 'approved', forward only, unless named here.")
]
AdmittedThreshold = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Once admitted, write the run-time guard's (StripGuard) threshold file; needs probe data.",
    ),
]


def admit(
    ref: Reference,
    as_id: As = None,
    revision: Revision = None,
    endpoint: Endpoint = None,
    policy: PolicyName = "default",
    registry_uri: RegistryUri = None,
    alias: Alias = None,
    device: Annotated[Device, typer.Option(help="Where the behaviour tests run.")] = Device.AUTO,
    probe_data: ProbeData = None,
    seed: Seed = 0,
    format_: OutputFormat = ReportFormat.TEXT,
    output: Output = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide, but sign and register nothing.")
    ] = False,
    full_report: Annotated[
        bool, typer.Option("--full-report", help="Go on after a rejection, to report every reason.")
    ] = False,
    requester: Requester = None,
    strip_threshold: AdmittedThreshold = None,
    token: Token = None,
    sign_with: SignWith = None,
) -> int:
    """Take a model from the hub to the registry, or refuse it.

    Fetches REF at one pinned commit, checks its name and provenance, reads every file in a sandbox, converts
    the weights to safetensors, tests behaviour, decides by policy, signs and registers what is admitted.

    Examples: `registry-gate admit distilbert/distilbert-base-uncased`, or, for a folder of your own,
    `registry-gate admit ./my-model --as acme/my-model`.
    """
    from registry_gate import settings
    from registry_gate.admission import Request
    from registry_gate.admission import admit as admit_model
    from registry_gate.policy import load_policy

    check_output(output)
    _check_threshold(strip_threshold, probe_data, dry_run)
    with progress_bars() as progress:
        request = Request(
            ref,
            policy=load_policy(policy),
            settings=settings.load(registry_uri=registry_uri, sign_with=sign_with),
            revision=revision,
            endpoint=endpoint,
            as_id=as_id,
            token=token,
            alias=alias,
            device=device.value,
            probe_data=probe_data,
            seed=seed,
            full_report=full_report,
            requester=requester,
        )
        report = admit_model(request, dry_run=dry_run, progress=progress)
    if strip_threshold is not None and (threshold := _threshold(report)):
        emit(threshold.canonical().decode() + "\n", strip_threshold)
    return show(report, format_, output)


def _check_threshold(path: Path | None, probe_data: Path | None, dry_run: bool) -> None:
    """Refuse at once what can never give a threshold file."""
    if path is None:
        return
    check_output(path)
    if probe_data is None or dry_run:
        raise UsageError(
            "no-strip-threshold",
            "--strip-threshold without --probe-data" if not dry_run else "--strip-threshold with --dry-run",
            why="the threshold is fitted on clean images, and exported for what was admitted",
            todo="give --probe-data, and no --dry-run; or registry-gate detect --strip-threshold",
        )


def _threshold(report: Report) -> StripThreshold | None:
    """The threshold of an admitted model, named by its signed manifest; None, with a word on why, if none."""
    from registry_gate.runtime.strip_guard import threshold_of

    if report.release is None:
        sys.stderr.write("no threshold file is written: nothing was admitted\n")
        return None
    try:
        return threshold_of(report.behaviour, report.release.manifest_digest)
    except UsageError as error:
        # The admission stands: that is the exit status, and a missing guard is said beside it.
        sys.stderr.write(f"no threshold file is written: {for_terminal(error.message)}\n")
        return None


def show(report: Report, format_: ReportFormat, output: Path | None) -> int:
    """Print a report and return the exit status of its verdict, which no format changes."""
    from registry_gate.decision import Verdict

    emit(_rendered(report, format_), output)
    return 0 if report.verdict is Verdict.ADMIT else 2


def _rendered(report: Report, format_: ReportFormat) -> str:
    from registry_gate.checks import RULES
    from registry_gate.report import html, json_report, sarif, text

    match format_:
        case ReportFormat.TEXT:
            return text.render(report, colour=colour_wanted())
        case ReportFormat.JSON:
            return json_report.render(report)
        case ReportFormat.SARIF:
            return sarif.render(report, RULES)
        case ReportFormat.HTML:
            return html.render(report, RULES)
