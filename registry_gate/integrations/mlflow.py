"""MLflow's loading call, verified: ``models:/name@alias`` from the registry that MLflow itself would ask.

There is no ``pyfunc`` flavour, because one could not keep the promise: ``mlflow.pyfunc.load_model`` downloads
the artifacts, reads ``MLmodel`` from them, puts the folder of code named there on the import path and imports
the ``loader_module`` named there, all before a flavour's own code runs. By then the store has chosen what
executes. A Release holds no ``MLmodel``, so MLflow's own loaders refuse it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from registry_gate.client.dtype import DType
from registry_gate.client.reference import parse
from registry_gate.errors import ToolError, UsageError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from registry_gate.signing.trust import Trust


@overload
def load_model(
    model_uri: str,
    *,
    into: Literal["model"] = "model",
    device: str | None = None,
    dtype: DType | None = None,
    trust: Trust | Path | str | None = None,
) -> PreTrainedModel: ...
@overload
def load_model(
    model_uri: str,
    *,
    into: Literal["state_dict"],
    device: str | None = None,
    dtype: DType | None = None,
    trust: Trust | Path | str | None = None,
) -> dict[str, torch.Tensor]: ...
@overload
def load_model(
    model_uri: str,
    *,
    into: Literal["directory"],
    device: str | None = None,
    dtype: DType | None = None,
    trust: Trust | Path | str | None = None,
) -> Path: ...
def load_model(
    model_uri: str,
    *,
    into: Literal["model", "state_dict", "directory"] = "model",
    device: str | None = None,
    dtype: DType | None = None,
    trust: Trust | Path | str | None = None,
) -> PreTrainedModel | dict[str, torch.Tensor] | Path:
    """Load an admitted model from MLflow's current registry, verified as by ``registry_gate.load_verified``.

    Args:
        model_uri: ``models:/name@alias`` or ``models:/name/3``.
        into: as for ``load_verified``.
        device: as for ``load_verified``.
        dtype: as for ``load_verified``.
        trust: as for ``load_verified``.

    Raises:
        UsageError: ``bad-reference``: not a registered model; ``bad-registry-uri``.
        VerificationError, FetchError, ToolError: as ``load_verified``; ``mlflow-missing``.
    """
    from registry_gate.client import load_verified

    if not model_uri.startswith("models:"):
        raise UsageError(
            "bad-reference",
            f"{model_uri[:200]!r} is no registered model",
            why="runs and folders are not admitted to the registry",
            todo="write models:/name@alias or models:/name/3, or call registry_gate.load_verified",
        )
    parse(model_uri, "")
    registry_uri = _current_registry()
    if into == "model":
        return load_verified(
            model_uri, into="model", device=device, dtype=dtype, trust=trust, registry_uri=registry_uri
        )
    if into == "state_dict":
        return load_verified(
            model_uri, into="state_dict", device=device, dtype=dtype, trust=trust, registry_uri=registry_uri
        )
    return load_verified(
        model_uri, into=into, device=device, dtype=dtype, trust=trust, registry_uri=registry_uri
    )


def _current_registry() -> str:
    """The registry that MLflow's own calls of this process ask."""
    try:
        import mlflow
    except ImportError as error:
        raise ToolError(
            "mlflow-missing",
            f"MLflow is not installed: {error}",
            todo="pip install mlflow, or call registry_gate.load_verified",
        ) from error
    return str(mlflow.get_registry_uri())
