"""``registry-gate log``: what was decided, signed, approved and revoked, and whether the log is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry_gate.cli.keys import Home
from registry_gate.cli.show import Format, emit

app = typer.Typer(
    no_args_is_help=True, help="The signed log of decisions, signatures, approvals and revocations."
)

Checkpoint = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A checkpoint written earlier and kept where the log is not."),
]


@app.command("verify")
def verify(checkpoint: Checkpoint = None, home: Home = None) -> None:
    """Verify every line, the chain, and that nothing was cut from the end.

    The index signs the log's head, so a log shorter than it has seen is refused (`log-cut`); a checkpoint
    does the same where the index was replaced together with the log. Lines by a retired key after its last
    number are named, and believed by nobody.
    """
    from registry_gate import settings
    from registry_gate.log.checkpoint import verify_log
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(home)
    summary = verify_log(loaded, effective_trust(loaded), checkpoint)
    lines = [f"verified    {summary.head.length} entries", f"last line   {summary.head.line_digest}"]
    lines += [f"witnessed   {seen.length} entries by {who}" for who, seen in summary.witnesses]
    lines += [
        f"disowned    entry {item.sequence} ({item.kind}): signed by retired key {item.key_id[:16]}…"
        for item in summary.disowned
    ]
    emit("".join(f"{line}\n" for line in lines), None)


@app.command("show")
def show(
    format_: Annotated[
        Format, typer.Option("--format", help="text, or json: one entry a line.")
    ] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    home: Home = None,
) -> None:
    """Print the entries that are believed, oldest first, after verifying all of them."""
    from registry_gate import settings
    from registry_gate.log.admission_log import AdmissionLog
    from registry_gate.report.escape import for_terminal
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(home)
    for entry in AdmissionLog(loaded.log, effective_trust(loaded)).entries():
        if as_json or format_ is Format.JSON:
            emit(entry.canonical().decode() + "\n", None)
        else:
            when = f"{entry.recorded_at:%Y-%m-%d %H:%M}"
            emit(
                f"{entry.sequence:>6}  {when}  {entry.body.kind:<10}  {for_terminal(entry.body.summary)}\n",
                None,
            )


@app.command("checkpoint")
def checkpoint(
    output: Annotated[
        Path | None, typer.Option(help="Where to write it; standard output if not said.")
    ] = None,
    home: Home = None,
) -> None:
    """Sign how long the log is and what its last line is, to be kept where the log is not."""
    from registry_gate import settings
    from registry_gate.ledger import open_ledger
    from registry_gate.log.checkpoint import write_checkpoint
    from registry_gate.signing.keys import load_log_signer

    loaded = settings.load(home)
    ledger = open_ledger(loaded)
    emit(write_checkpoint(ledger.log.head(), load_log_signer(loaded)).decode() + "\n", output)
