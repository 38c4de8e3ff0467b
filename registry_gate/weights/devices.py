"""A torch device and the way of bytes to it: where the statistics of large tensors may be taken.

torch is imported by :func:`open_device` alone; the CPU's own pass (:mod:`registry_gate.weights.statistics`)
needs none of this. Not measured on a GPU by us: the same code is held against that pass on
torch's CPU device.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.errors import ToolError, UsageError
from registry_gate.weights.regions import Meter
from registry_gate.weights.statistics import TensorMeter

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")
SMALLEST = 1 << 20
"""Bytes from which on a tensor goes to the device: starting kernels costs more than smaller ones take."""
STAGED = 4 << 20
"""Bytes a copy to the device, at most."""
_BUFFERS = 2
WORTH = 1 << 30
"""Bytes of weights from which on ``auto`` takes a GPU: importing torch and starting CUDA takes seconds."""


class Device:
    """An open device; its buffers are each thread's own, so that several files' walks may share it.

    Args:
        torch_device: where to; ``cpu`` works as any other does.
        smallest: bytes from which on a tensor goes there.
    """

    def __init__(self, torch_device: torch.device, smallest: int = SMALLEST) -> None:
        self.torch_device, self._smallest = torch_device, smallest
        self._own = threading.local()

    @property
    def name(self) -> str:
        """What it is, in words."""
        import torch

        if self.torch_device.type != "cuda":
            return self.torch_device.type
        return f"cuda, {torch.cuda.get_device_name(self.torch_device)}"

    def meter(self, dtype: str, rows: int, nbytes: int) -> Meter:
        """A meter on the device for large tensors, the CPU's for others (:data:`regions.Meters`)."""
        from registry_gate.weights.device_meter import DeviceMeter

        return DeviceMeter(dtype, rows, self) if nbytes >= self._smallest else TensorMeter(dtype, rows)

    def upload(self, data: memoryview) -> torch.Tensor:
        """Bytes on the device, (len,) uint8; ``data`` may change as soon as it returns.

        Page-locked buffers take turns, so that the next piece is put into one while another is on its way.
        """
        buffers: list[_Buffer] | None = getattr(self._own, "buffers", None)
        if buffers is None:
            buffers = self._own.buffers = [_Buffer(self.torch_device) for _ in range(_BUFFERS)]
        buffers.append(buffer := buffers.pop(0))
        return buffer.send(data)


class _Buffer:
    """Host memory that the device copies from by itself."""

    def __init__(self, device: torch.device) -> None:
        import torch

        self._device = device
        self._there = device.type == "cpu"
        self._memory = torch.empty(STAGED, dtype=torch.uint8, pin_memory=not self._there)
        self._sent: torch.cuda.Event | None = None

    def send(self, data: memoryview) -> torch.Tensor:
        import torch

        if self._sent:
            self._sent.synchronize()
        self._memory.numpy()[: len(data)] = data
        piece = self._memory[: len(data)]
        if self._there:
            return piece.clone()
        found = piece.to(self._device, non_blocking=True)
        self._sent = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._sent.record(torch.cuda.current_stream(self._device))
        return found


def open_device(name: str) -> Device:
    """Open a device.

    Args:
        name: ``cpu`` or ``cuda``; torch's names with a number (``cuda:1``) are taken too.

    Raises:
        UsageError: ``bad-device``: torch is not there, does not know the device, or cannot reach it.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            "bad-device", f"{name!r} needs torch: {error}", todo="install torch, or use --device cpu"
        ) from error
    try:
        found = torch.device(name)
        torch.empty(1, dtype=torch.float64, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        # torch says so in an AssertionError where it was built without CUDA
        raise UsageError(
            "bad-device",
            f"{name!r} cannot be used: {str(error).splitlines()[0][:200]}",
            todo="use --device cpu, or auto",
        ) from error
    return Device(found)


def device_for(asked: str, total: int) -> tuple[Device | None, str]:
    """The device to use for so many bytes of weights, None for the CPU's own pass; and why, in words.

    Args:
        asked: ``cpu``, ``cuda``, or ``auto``: a GPU where one is there and the weights are worth starting it.
        total: bytes of weights.

    Raises:
        UsageError: ``bad-device``.
    """
    if asked not in DEVICES:
        raise UsageError("bad-device", f"{asked[:50]!r} is not a device", todo=f"name one of {DEVICES}")
    if asked == "cpu" or (asked == "auto" and not _nvidia()):
        return None, "cpu"
    if asked == "auto" and total < WORTH:
        return None, f"cpu, because {total} bytes are not worth starting the GPU for"
    try:
        found = open_device("cuda")
    except UsageError as error:
        if asked != "auto":
            raise
        return None, f"cpu, because the GPU that is there could not be opened: {error.message}"
    return found, found.name


def _nvidia() -> bool:
    """True where NVIDIA's driver has device files: asked before torch is imported."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


@contextmanager
def failing_with_words() -> Iterator[None]:
    """What a device says when it fails, as an error of ours.

    Raises:
        ToolError: ``device-failed``.
    """
    try:
        yield
    except RuntimeError as error:  # out of memory, a kernel that failed, a device that went away
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ToolError(
            "device-failed",
            f"the device failed: {said[:200]}",
            todo="run again with --device cpu",
        ) from error
