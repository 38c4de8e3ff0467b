"""``load_verified`` and ``verify``: the two calls of those who use admitted models."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from registry_gate.client.dtype import DType, check_dtype
from registry_gate.client.private_copy import (
    copy_to,
    make_read_only,
    remove,
    verify_where_it_lies,
)
from registry_gate.errors import UsageError
from registry_gate.progress import Progress, silent

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from registry_gate.release import Verified
    from registry_gate.signing.trust import Trust

Ref = str | os.PathLike[str]


def verify(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> Verified:
    """Verify a Release where it lies: signature, signer, verdict, expiry, manifest and every byte.

    What is returned holds for the moment of the call only: to use a model, use ``load_verified``.

    Args:
        ref: ``org/model``, ``models:/name@alias``, ``models:/name/3`` or the folder of a Release.
        trust: a trust file, or ``Trust``, instead of the user's own; cannot widen the administrator's.
        registry_uri: another registry than the settings name.
        progress: told ``verify``, bytes hashed, bytes in all.

    Raises:
        VerificationError: it is not what an accepted gate signed; ``code`` says in which way.
        FetchError: it could not be read.
    """
    return verify_where_it_lies(ref, trust, registry_uri, progress)


@overload
def load_verified(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    into: Literal["model"] = "model",
    device: str | None = None,
    dtype: DType | None = None,
    tensors: str | Sequence[str] | None = None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> PreTrainedModel: ...
@overload
def load_verified(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    into: Literal["state_dict"],
    device: str | None = None,
    dtype: DType | None = None,
    tensors: str | Sequence[str] | None = None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> dict[str, torch.Tensor]: ...
@overload
def load_verified(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    into: Literal["directory"],
    device: str | None = None,
    dtype: DType | None = None,
    tensors: str | Sequence[str] | None = None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> Path: ...
def load_verified(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    into: str = "model",
    device: str | None = None,
    dtype: DType | None = None,
    tensors: str | Sequence[str] | None = None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> PreTrainedModel | dict[str, torch.Tensor] | Path:
    """Verify a Release while it is copied where nobody else can write, and load that copy and nothing else.

    No parser sees a byte before signature, signer, verdict, expiry and digests were verified. Each file is
    opened once; weights lie in sealed memory, or in memory that only this process has, so that what is parsed
    is what was verified whatever happens to the store.

    Args:
        ref: ``org/model`` (its ``approved`` version), ``models:/name@alias``, ``models:/name/3``, or the
            folder of a Release.
        trust: a trust file, or ``Trust``, instead of the user's own; cannot widen the administrator's.
        into: ``"model"``: the `transformers` model that ``config.json`` names, in eval mode, with
            ``.verified`` (a ``Verified``) and ``.processor`` (tokenizer or processor of the same copy, or
            None); ``"state_dict"``: its tensors by name; ``"directory"``: the path of a private read-only
            copy, which the caller deletes. The promise for a directory ends when this returns.
        device: where tensors go, as torch names it; the CPU if None.
        dtype: the floating type that floating tensors are converted to; others stay as they are.
        tensors: with ``into="state_dict"``: names, or patterns as of ``fnmatch``, case counting. Only the
            chunks these tensors lie in are read and verified, and the headers that name them.
        registry_uri: another registry than the settings name.
        progress: told ``verify``, bytes verified, bytes in all.

    Raises:
        VerificationError: it is not what an accepted gate signed; ``code`` says in which way.
        FetchError: it could not be read.
        UsageError: ``bad-into``, ``bad-dtype``, ``bad-tensors``, ``no-such-tensor``.
        ToolError: ``load-failed``, ``copy-failed`` or ``missing-extra``: it is genuine, but this machine
            cannot load it.
    """
    patterns = (tensors,) if isinstance(tensors, str) else tensors
    _check_request(into, device, dtype, patterns)
    if into == "directory":
        return _directory(ref, trust, registry_uri, progress)
    from registry_gate.client import parse_copy
    from registry_gate.client.accepted import open_release
    from registry_gate.client.hold import held_release, hold_tensors

    with ExitStack() as stack:
        release = stack.enter_context(open_release(ref, trust, registry_uri))
        parse_copy.check_installed(into)
        if into == "state_dict":
            verified = hold_tensors(release, patterns, progress)
            return parse_copy.state_dict(verified, device or "cpu", dtype)
        held = stack.enter_context(held_release(release, progress))
        return parse_copy.model(held, device or "cpu", dtype)


def _check_request(
    into: str, device: str | None, dtype: DType | None, patterns: Sequence[str] | None
) -> None:
    """Refuse what could not be done before anything is fetched."""
    if into not in ("model", "state_dict", "directory"):
        raise UsageError("bad-into", f"into={into!r} is not one of 'model', 'state_dict', 'directory'")
    if into == "directory" and (device is not None or dtype is not None):
        raise UsageError(
            "bad-into", "into='directory' copies files as they are: it takes no device and no dtype"
        )
    if patterns is not None and (into != "state_dict" or not patterns or "" in patterns):
        raise UsageError(
            "bad-tensors",
            "tensors= takes one or more tensor names or patterns, and into='state_dict'",
            todo="leave tensors= out to load the whole model",
        )
    if dtype is not None:
        check_dtype(dtype)


def _directory(
    ref: Ref, trust: Trust | Path | str | None, registry_uri: str | None, progress: Progress
) -> Path:
    scratch = Path(tempfile.mkdtemp(prefix="registry-gate-copy-"))
    try:
        copied = copy_to(ref, trust, scratch / "release", registry_uri, progress)
    except BaseException:
        remove(scratch)
        raise
    make_read_only(scratch)
    return copied.model
