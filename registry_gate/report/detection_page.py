"""A detection as one self-contained page: margins by class, entropies, the inverted trigger as a picture.

Nothing outside the page is referred to and no script runs. The confined child gives a picture's pixels as
numbers; the image file that a browser reads is made here.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass

from registry_gate.decision import Verdict
from registry_gate.evidence import BehaviourMeasurement, Picture
from registry_gate.report import plots
from registry_gate.report.detected import Detection
from registry_gate.report.pages import our_own, template

_SAID = {Verdict.ADMIT: "nothing found", Verdict.REVIEW: "review", Verdict.REJECT: "reject"}
_MEANING = {
    Verdict.ADMIT: "These tests found no backdoor. That is not a statement that there is none.",
    Verdict.REVIEW: "A person has to look: at what was found below, or at why a test could not look.",
    Verdict.REJECT: "The tests point at a planted class.",
}


@dataclass(frozen=True)
class _Shown:
    """A picture's title, and the picture as an address that holds all of it."""

    title: str
    source: str


def as_html(found: Detection) -> str:
    """The detection as an HTML document."""
    asked = [test for test in found.tests if test.reason != "not asked for"]
    return template("detection.html.jinja").render(
        found=found,
        said=_SAID[found.verdict],
        meaning=_MEANING[found.verdict],
        overall=_overall(found),
        tests=[(test, plots.of_behaviour(test), [_shown(one) for one in test.pictures]) for test in asked],
    )


def _overall(found: Detection) -> plots.Plot | None:
    """The fused score's logits by class, where there is one."""
    if found.defense != "all" or len(found.per_class) < 2:
        return None
    fused = BehaviourMeasurement(
        test="backdoor-score",
        version=1,
        status="measured",
        suspected_target=found.suspected_target,
        per_class=found.per_class,
    )
    return plots.of_behaviour(fused)[0]


def _shown(picture: Picture) -> _Shown:
    encoded = base64.b64encode(png(picture)).decode()
    return _Shown(picture.title, our_own(f"data:image/png;base64,{encoded}"))


def png(picture: Picture) -> bytes:
    """The picture as a PNG file (8 bits a channel, no filter), each pixel as it is.

    Raises:
        ValueError: the pixels are not as many as height and width say.
    """
    pixels, stride = bytes.fromhex(picture.pixels), 3 * picture.width
    if len(pixels) != stride * picture.height:
        raise ValueError(f"{len(pixels)} bytes are no picture of {picture.height} x {picture.width}")
    rows = b"".join(b"\x00" + pixels[at : at + stride] for at in range(0, len(pixels), stride))
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
