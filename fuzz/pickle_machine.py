"""Fuzz the pickle machine: ``python fuzz/pickle_machine.py -runs=1000000`` (needs the ``fuzz`` extra).

An input is a pickle stream; one that begins with 0xff chooses the steps of a program generator instead.
For each, in process: no exception, no instruction beyond the limit, nothing imported, opened for writing or
started, facts that survive their pipe, and nothing hidden that CPython's unpicklers, with everything inert,
would do.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = Path(__file__).resolve().parent / "seeds" / "pickle_machine"
sys.path.insert(0, str(ROOT))

import atheris  # noqa: E402 - the checkout's root comes first

with atheris.instrument_imports(include=["registry_gate.formats"]):
    from registry_gate.formats.pickle_program import interpret

from fuzz import pickle_oracle, pickle_streams  # noqa: E402
from registry_gate.evidence import PickleFacts  # noqa: E402

_FORBIDDEN = ("import", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess", "socket", "ctypes")
_WRITING = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "shutil",
)
_armed = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: what the reading itself may never do."""
    if not _armed:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
    if writes or event.startswith(_FORBIDDEN) or event.startswith(_WRITING):
        raise AssertionError(f"{event} {arguments!r}"[:300])


def stream_of(data: bytes) -> bytes:
    """The pickle that an input stands for."""
    if data[:1] != b"\xff":
        return data
    provider = atheris.FuzzedDataProvider(data[1:])
    return pickle_streams.stream(lambda below: provider.ConsumeIntInRange(0, below - 1))


def must(holds: bool, what: str) -> None:
    """Fail where something does not hold, whatever -O says."""
    if not holds:
        raise AssertionError(what)


def test_one_input(data: bytes) -> None:
    """Everything that must hold for one input."""
    global _armed  # noqa: PLW0603 - audit hooks cannot be taken off again
    stream = stream_of(data)
    _armed = True
    try:
        program = interpret(stream, pickle_oracle.LIMITS)
    finally:
        _armed = False
    for facts in program.pickles:
        must(facts.opcodes <= pickle_oracle.LIMITS.max_pickle_opcodes, "more instructions than the limit")
        must(PickleFacts.from_json(facts.canonical()) == facts, "the facts do not survive their pipe")
    must(program.complete or bool(program.problems), "not complete, and nothing says why")
    must(0 <= program.end <= len(stream), "the end lies outside the stream")
    for kind in (pickle_oracle.CUnpickler, pickle_oracle.PythonUnpickler) if program.complete else ():
        found = pickle_oracle.disagreement(program, pickle_oracle.deeds_of(kind, stream))
        must(not found, f"{kind.__name__}: {found}: {stream!r}")


def main() -> None:
    """Warm up, so that codecs are imported before the watch begins; then fuzz until the runs are done."""
    for seed in sorted(SEEDS.iterdir()):
        interpret(seed.read_bytes(), pickle_oracle.LIMITS)
    sys.addaudithook(_watch)
    given = sys.argv[1:]
    fixed = ["-timeout=20", "-rss_limit_mb=4096", "-max_len=1024"]
    with tempfile.TemporaryDirectory() as grown:  # what it finds goes to the first folder, never to the seeds
        folders = [] if any(not item.startswith("-") for item in given) else [grown, str(SEEDS)]
        atheris.Setup([sys.argv[0], *fixed, *given, *folders], test_one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
