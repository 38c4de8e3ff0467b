"""Bad models that must be refused, for what they are, and an ordinary one that must not.

Each goes the real way: fetched or copied, read in the sandbox, judged, decided under the policy. Payloads are
harmless: a pickle that were run would make a marker file, which is looked for afterwards. Only where a
candidate may come from is opened up (a folder, a hub on loopback); nothing that judges it is.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

from registry_gate.admission import Request, admit, scan
from registry_gate.decision import Verdict
from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, ok, unknown
from registry_gate.report.document import Report
from registry_gate.testing.hostile import catalogue, pickle_that_would_run, safetensors_bytes, torch_zip
from registry_gate.testing.hub import LoopbackHub

_NEXT_STEP = (
    "do not admit anything here until `registry-gate scan` refuses it again; report it if nothing was changed"
)
_SHAPE = (8, 8)
_COUNT = 64


def _request(installation: Installation, reference: str, endpoint: str | None = None) -> Request:
    """In a home of its own: a canary is no history of this gate."""
    opened: dict[str, object] = {"allow_folder_source": True}
    if endpoint is not None:
        opened["endpoints"] = (endpoint,)
    policy = installation.policy.model_copy(update=opened)
    settings = installation.settings.model_copy(update={"home": installation.scratch / "home"})
    return Request(reference, policy, settings, endpoint=endpoint)


def _judged(report: Report, rules: tuple[str, ...]) -> Said:
    """Refused is not enough: a scanner that refuses everything would pass."""
    codes = tuple(dict.fromkeys(reason.code for reason in report.reasons))
    measured = f"{report.verdict.value}: {', '.join(codes[:6]) or 'no finding'}"
    if report.verdict is Verdict.ADMIT:
        return failed(f"not refused ({measured})", _NEXT_STEP)
    if not set(codes) & set(rules):
        return failed(
            f"refused, but not for what it is ({measured})", f"{rules[0]} was to be found. {_NEXT_STEP}"
        )
    return ok(measured)


def _file(code: str, name: str, rule: str, build: Callable[[str], bytes]) -> Probe:
    def run(installation: Installation) -> Said:
        folder = installation.folder(code)
        marker = folder / "executed"
        path = folder / name
        path.write_bytes(build(f"touch {marker}"))
        said = _judged(scan(_request(installation, str(path))), (rule,))
        return failed("its payload was executed", _NEXT_STEP) if marker.exists() else said

    return Probe(code, f"a file that must be found by {rule} is refused", run)


def _sample(name: str) -> tuple[str, str, Callable[[str], bytes]]:
    """A hostile sample's file name, rule, and builder."""
    rule = catalogue("true")[name][0]
    return name.rpartition("/")[2], rule, lambda command: catalogue(command)[name][1]


def _weights(values: list[float]) -> bytes:
    header = {"w": {"dtype": "F32", "shape": list(_SHAPE), "data_offsets": [0, 4 * _COUNT]}}
    return safetensors_bytes(header, struct.pack(f"<{_COUNT}f", *values))


def _ordinary_values() -> list[float]:
    return [((index * 37) % 64 - 31.5) / 640 for index in range(_COUNT)]


def _name(installation: Installation) -> Said:
    """A protected model's name with one slip in its owner, asked of a hub that has it."""
    known = next((name for name in installation.policy.protected.names if "/" in name), None)
    if known is None:
        return unknown("the policy protects no name with an owner")
    owner, _, model = known.partition("/")
    forged = f"{owner[:-1]}{owner[-2]}{owner[-1]}/{model}"
    config = json.dumps({"architectures": ["BertModel"], "model_type": "bert"}).encode()
    with LoopbackHub() as hub:
        hub.add_repo(forged, {"config.json": config, "model.safetensors": _weights(_ordinary_values())})
        report = admit(_request(installation, forged, hub.url), dry_run=True)
    said = _judged(report, ("name-typosquat",))
    return said._replace(measured=f"{forged} for {known}: {said.measured}")


def _ordinary(installation: Installation) -> Said:
    """What is harmless must pass, or the refusals above mean nothing."""
    path: Path = installation.folder("canary-ordinary") / "model.safetensors"
    path.write_bytes(_weights(_ordinary_values()))
    report = scan(_request(installation, str(path)))
    if report.verdict is not Verdict.ADMIT:
        codes = ", ".join(dict.fromkeys(reason.code for reason in report.reasons))
        return failed(
            f"refused ({report.verdict.value}: {codes})", "`registry-gate scan` refuses what is harmless"
        )
    return ok("admit: no finding")


PROBES = (
    _file(
        "canary-pickle",
        "pytorch_model.bin",
        "pickle-global-not-allowed",
        lambda command: torch_zip(pickle_that_would_run(command)),
    ),
    _file("canary-zip", *_sample("zip-local-name/pytorch_model.bin")),
    _file("canary-safetensors", *_sample("safetensors-overlap/model.safetensors")),
    _file("canary-code", *_sample("auto-map/config.json")),
    _file(
        "canary-weights",
        "model.safetensors",
        "non-finite-weights",
        lambda _: _weights([float("nan"), *_ordinary_values()[1:]]),
    ),
    Probe("canary-name", "a look-alike of a protected name is refused", _name),
    Probe("canary-ordinary", "an ordinary file is not refused", _ordinary),
)
