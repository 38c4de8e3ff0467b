"""The command table, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Annotated

import typer

from registry_gate import version
from registry_gate.cli import (
    admit,
    approve,
    audit,
    audit_registry,
    detect,
    doctor,
    drift,
    drill,
    explain,
    export_admitted,
    index,
    inventory,
    keys,
    log,
    name,
    pull,
    renew,
    revoke,
    scan,
    serving_audit,
    signature,
    triage,
    verify,
)
from registry_gate.errors import Error, ToolError
from registry_gate.report.escape import for_terminal

_EPILOG = (
    "Exit status, for every command and format: 0 admitted or verified; 2 not admitted, a finding, or a bad "
    "signature; 1 no decision (usage, network, a tool that failed). Results on stdout, progress on stderr."
)

_CTRL_C = 130
"""What the command-line library returns for an interrupt; no command of ours does."""

app = typer.Typer(
    name="registry-gate",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_EPILOG,
    help="The admission gate between public model hubs and your own model registry.",
)
app.command("admit", epilog=_EPILOG)(admit.admit)
app.command("scan", epilog=_EPILOG)(scan.scan)
app.command("triage", epilog=_EPILOG)(triage.triage)
app.command("detect", epilog=_EPILOG)(detect.detect)
app.command("renew", epilog=_EPILOG)(renew.renew)
app.command("verify", epilog=_EPILOG)(verify.verify)
app.command("pull", epilog=_EPILOG)(pull.pull)
app.command("signature", epilog=_EPILOG)(signature.signature)
app.command("explain", epilog=_EPILOG)(explain.explain)
app.command("name", epilog=_EPILOG)(name.name)
app.command("audit", epilog=_EPILOG)(audit.audit)
app.command("inventory", epilog=_EPILOG)(inventory.inventory)
app.command("export-admitted", epilog=_EPILOG)(export_admitted.export_admitted)
app.command("serving-audit", epilog=_EPILOG)(serving_audit.serving_audit)
app.command("drill", epilog=_EPILOG)(drill.drill)
app.command("drift", epilog=_EPILOG)(drift.drift)
app.command("predictions", epilog=_EPILOG)(drift.predictions)
app.command("approve", epilog=_EPILOG)(approve.approve)
app.command("revoke", epilog=_EPILOG)(revoke.revoke)
app.command("audit-registry", epilog=_EPILOG)(audit_registry.audit_registry)
app.command("doctor", epilog=_EPILOG)(doctor.doctor)
app.add_typer(keys.app, name="keys")
app.add_typer(index.app, name="index")
app.add_typer(log.app, name="log")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(version.VERSION)
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The admission gate between public model hubs and your own model registry."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status; nothing escapes as a traceback.

    Usage errors are 1, never 2, so that a build can tell "refused" from "mistyped".
    """
    _stop_tidily()
    try:
        result = app(arguments, standalone_mode=False)
    except Error as error:
        sys.stderr.write(_safe(error.diagnostics()))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        # The reader of our output went away; say nothing more, and let the shell see "no decision".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the last line of defence: whatever it is, no decision was made
        return _unforeseen(error)
    if result == _CTRL_C:
        return _interrupted()
    return result if isinstance(result, int) else 0


def _missing(error: ModuleNotFoundError) -> ToolError:
    return ToolError(
        "missing-extra",
        f"this command needs the package {error.name!r}, which is not installed",
        why="the base installation verifies and pulls; examining and admitting need more",
        todo="pip install 'registry-gate[gate]'",
    )


def _interrupted() -> int:
    sys.stderr.write("interrupted: run again, and it finishes what was begun\n")
    return 1


def _stop_tidily() -> None:
    """Asked to end, clean up as on Ctrl-C; a second request does not cut the cleaning short."""
    if threading.current_thread() is not threading.main_thread():
        return  # embedded in a program, whose signals are its own
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _unforeseen(error: Exception) -> int:
    show = getattr(error, "show", None)
    if callable(show):  # a usage error of the command-line library
        show(file=sys.stderr)
        return 1
    if isinstance(error, ModuleNotFoundError):
        sys.stderr.write(_safe(_missing(error).diagnostics()))
        return 1
    sys.stderr.write(_safe(f"internal-error: {type(error).__name__}: {error}"))
    if os.environ.get("REGISTRY_GATE_DEBUG"):
        traceback.print_exception(error)
    else:
        sys.stderr.write(
            "  next: set REGISTRY_GATE_DEBUG=1 for the traceback and report it; nothing was decided\n"
        )
    return 1


def _safe(text: str) -> str:
    return "\n".join(for_terminal(line) for line in text.splitlines()) + "\n"
