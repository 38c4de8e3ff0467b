"""``registry-gate detect``: is a backdoor planted in this image or text classifier?"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import Device, Output, PolicyName, ProbeData, Seed
from registry_gate.cli.show import check_output, emit, progress_bars
from registry_gate.errors import UsageError

if TYPE_CHECKING:
    from registry_gate.examine.behaviour_messages import Architecture
    from registry_gate.report.detected import Detection

_MAX_REFERENCES = 1 << 20


class Defense(StrEnum):
    """Which tests run and decide."""

    MMBD = "mmbd"
    STRIP = "strip"
    INVERSION = "inversion"
    WEIGHTS = "weights"
    TEXT = "text"
    ALL = "all"


class Profile(StrEnum):
    """How MM-BD searches."""

    PAPER = "paper"
    FAST = "fast"


class DetectFormat(StrEnum):
    """How a detection is printed."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


ReferenceNull = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="JSON list: MM-BD statistics of clean kin."),
]
Threshold = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the threshold file of the run-time guard (StripGuard)."),
]


def detect(
    model: Annotated[
        Path,
        typer.Option(exists=True, metavar="FOLDER|FILE", help="A Hugging Face folder, or one state dict."),
    ],
    defense: Annotated[Defense, typer.Option(help="all is the fused score of every test.")] = Defense.ALL,
    arch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Network of a bare state dict, e.g. resnet18.")
    ] = None,
    num_classes: Annotated[int | None, typer.Option(min=2, help="Classes of that network.")] = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, max=1024, help="Pixels a side it reads, if not the usual.")
    ] = None,
    probe_data: ProbeData = None,
    device: Annotated[Device, typer.Option(help="Where the tests run.")] = Device.AUTO,
    profile: Annotated[
        Profile | None, typer.Option(help="MM-BD as published, or faster and further (the policy's).")
    ] = None,
    seed: Seed = 0,
    reference_null: ReferenceNull = None,
    strip_threshold: Threshold = None,
    policy: PolicyName = "default",
    format_: Annotated[
        DetectFormat, typer.Option("--format", help="text, json, or html: one page with pictures.")
    ] = DetectFormat.TEXT,
    output: Output = None,
) -> int:
    """Look for a planted backdoor in an image or text classifier.

    Files are read, converted and built as `admit` does it, in the sandbox; nothing of the model's is run or
    unpickled. With --probe-data (a few clean labelled images a class) the image tests see most; text
    classifiers need none, but clean models of their family in the policy. "Nothing found"
    means by these tests. Exit status 0: nothing found; 2: flagged, or the test could not look; 1: undecided.

    Examples: `registry-gate detect --model ./folder --probe-data clean.npz`, or, for a bare state dict,
    `registry-gate detect --model net.pth --arch resnet18-small --num-classes 10`.
    """
    from registry_gate.detection import detect as examine
    from registry_gate.examine.behaviour import Probing
    from registry_gate.policy import load_policy

    check_output(output)
    check_output(strip_threshold)
    probing = Probing(
        probe_data=probe_data,
        device=device.value,
        seed=seed,
        profile=profile.value if profile else None,
        references=_references(reference_null),
        architecture=_architecture(arch, num_classes, image_size),
    )
    with progress_bars() as progress:
        found = examine(model, defense.value, load_policy(policy), probing, progress=progress)
    if strip_threshold is not None:
        from registry_gate.runtime.strip_guard import threshold_of

        emit(threshold_of(found.tests, found.model_digest).canonical().decode() + "\n", strip_threshold)
    emit(_rendered(found, format_), output)
    return 2 if found.flagged else 0


def _architecture(name: str | None, classes: int | None, side: int | None) -> Architecture | None:
    from registry_gate.architectures.names import NAMES
    from registry_gate.examine.behaviour_messages import Architecture

    if name is None and classes is None and side is None:
        return None
    if name not in NAMES or classes is None:
        raise UsageError(
            "bad-architecture",
            f"--arch {name!r} with --num-classes {classes}",
            why="a bare state dict is built from a network that is known here and a number of classes",
            todo=f"name one of {', '.join(NAMES)}, and --num-classes",
        )
    return Architecture(name=name, classes=classes, image=side)


def _references(path: Path | None) -> tuple[float, ...]:
    if path is None:
        return ()
    try:
        if path.stat().st_size > _MAX_REFERENCES:
            raise ValueError(f"larger than {_MAX_REFERENCES} bytes")
        numbers = json.loads(path.read_bytes())
        if not isinstance(numbers, list) or not all(type(one) in (int, float) for one in numbers):
            raise ValueError("not a list of numbers")
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError("bad-reference-null", f"{path}: {str(error)[:200]}") from error
    return tuple(float(one) for one in numbers)


def _rendered(found: Detection, format_: DetectFormat) -> str:
    from registry_gate.report import detection

    if format_ is DetectFormat.JSON:
        return detection.as_json(found)
    if format_ is DetectFormat.TEXT:
        return detection.as_text(found)
    from registry_gate.report.detection_page import as_html

    return as_html(found)
