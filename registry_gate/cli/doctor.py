"""``registry-gate doctor``: does this installation still do what it promises?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import PolicyName, SignWith
from registry_gate.cli.keys import Home
from registry_gate.cli.show import Format, check_output, emit, progress_bars
from registry_gate.cli.verify import RegistryUri

if TYPE_CHECKING:
    from registry_gate.operate.doctor.render import Diagnosis
    from registry_gate.self_test import SelfTest
    from registry_gate.settings import Settings


def doctor(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Run this probe only; may be repeated. Nothing is recorded then."),
    ] = None,
    policy: PolicyName = "default",
    registry_uri: RegistryUri = None,
    sample: Annotated[
        int, typer.Option(min=1, help="How many registered versions to verify: those under an alias first.")
    ] = 20,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Put a signed record of the run into the log.")
    ] = True,
    format_: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.TEXT,
    output: Annotated[
        Path | None, typer.Option(help="Write the result to this file instead of standard output.")
    ] = None,
    sign_with: SignWith = None,
    home: Home = None,
) -> int:
    """Try this installation: sandbox, keys, trust, index, log, registry, policy, canaries, clock, machine.

    The sandbox is attacked from inside, hostile samples with harmless payloads go through the real scan, and
    registered versions are verified in full. Each probe has a stable code and says `ok`, `failed`,
    `could-not-tell` or `not-configured`, what it measured and what to do.

    A full run is recorded in the log, passed or not, and signed. A policy with `self_test_days` (`strict` has
    it) admits only where this machine's newest run for that very policy passed and is no older.

    Exit status: 0 nothing is wrong, 2 something failed, 1 something could not be found out.

    Examples: `registry-gate doctor --policy strict`, `registry-gate doctor --only clock-registry`.
    """
    from registry_gate import settings
    from registry_gate.operate.doctor.run import chosen, self_test

    check_output(output)
    probes = chosen(only or ())
    loaded = settings.load(home, registry_uri=registry_uri, sign_with=sign_with)
    with progress_bars() as progress:
        said = self_test(loaded, policy, probes=probes, sample=sample, progress=progress)
    return _show(_recorded(loaded, said, wanted=record and not only), format_, output)


def _recorded(settings: Settings, said: SelfTest, *, wanted: bool) -> Diagnosis:
    from registry_gate.errors import Error
    from registry_gate.operate.doctor.render import Diagnosis
    from registry_gate.operate.doctor.run import record

    if not wanted:
        return Diagnosis(state=said.state, self_test=said, not_recorded="--only or --no-record was given")
    try:
        return Diagnosis(state=said.state, self_test=said, recorded=record(settings, said).sequence)
    except Error as error:
        return Diagnosis(state=said.state, self_test=said, not_recorded=str(error))


def _show(diagnosis: Diagnosis, format_: Format, output: Path | None) -> int:
    from registry_gate.operate.doctor.render import as_json, as_text
    from registry_gate.self_test import ProbeState

    emit(as_json(diagnosis) if format_ is Format.JSON else as_text(diagnosis), output)
    return {ProbeState.FAILED: 2, ProbeState.COULD_NOT_TELL: 1}.get(diagnosis.state, 0)
