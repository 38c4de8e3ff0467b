"""``load_verified`` and ``verify``: the two calls of those who use admitted models."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from registry_gate.client.private_copy import (
    copy_to,
    make_read_only,
    private_copy,
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
) -> PreTrainedModel: ...
@overload
def load_verified(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    into: Literal["state_dict"],
    device: str | None = None,
) -> dict[str, torch.Tensor]: ...
@overload
def load_verified(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    into: Literal["directory"],
    device: str | None = None,
) -> Path: ...
def load_verified(
    ref: Ref,
    *,
    trust: Trust | Path | str | None = None,
    into: str = "model",
    device: str | None = None,
) -> PreTrainedModel | dict[str, torch.Tensor] | Path:
    """Verify a Release, copy it where only this user can write, and load that copy and nothing else.

    No parser sees a byte before signature, signer, verdict, expiry and digests were verified.

    Args:
        ref: ``org/model`` (its ``approved`` version), ``models:/name@alias``, ``models:/name/3``, or the
            folder of a Release.
        trust: a trust file, or ``Trust``, instead of the user's own; cannot widen the administrator's.
        into: ``"model"``: the `transformers` model that ``config.json`` names, in eval mode, with
            ``.verified`` (a ``Verified``) and ``.processor`` (tokenizer or processor of the same copy, or
            None); ``"state_dict"``: its tensors by name; ``"directory"``: the path of a private read-only
            copy, which the caller deletes. The promise for a directory ends when this returns.
        device: where tensors go, as torch names it; the CPU if None.

    Raises:
        VerificationError: it is not what an accepted gate signed; ``code`` says in which way.
        FetchError: it could not be read.
        ToolError: ``load-failed`` or ``missing-extra``: it is genuine, but this machine cannot load it.
    """
    if into == "directory":
        return _directory(ref, trust)
    if into not in ("model", "state_dict"):
        raise UsageError("bad-into", f"into={into!r} is not one of 'model', 'state_dict', 'directory'")
    from registry_gate.client import parse_copy

    with private_copy(ref, trust) as copied:
        if into == "state_dict":
            return parse_copy.state_dict(copied.model, device or "cpu")
        return parse_copy.model(copied, device or "cpu")


def _directory(ref: Ref, trust: Trust | Path | str | None) -> Path:
    scratch = Path(tempfile.mkdtemp(prefix="registry-gate-copy-"))
    try:
        copied = copy_to(ref, trust, scratch / "release")
    except BaseException:
        remove(scratch)
        raise
    make_read_only(scratch)
    return copied.model
