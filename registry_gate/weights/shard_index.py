"""The table that tells a loader which shard holds a tensor: written from what was staged, never copied."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from registry_gate.candidate import SnapshotFile
from registry_gate.evidence import CopyPlan, StagedFile
from registry_gate.record import canonical_json
from registry_gate.weights.digests import CHUNK_SIZE, ChunkDigests

INDEX = "model.safetensors.index.json"


def needs_index(plans: Sequence[CopyPlan]) -> bool:
    """True when the weights at the top lie in several files."""
    return len(_shards(plans)) > 1


def write_index(root: Path, plans: Sequence[CopyPlan], known: Mapping[str, SnapshotFile]) -> StagedFile:
    """Write ``model.safetensors.index.json`` for the staged shards.

    Args:
        root: the staging folder.
        plans: all plans; those of module folders are no shards.
        known: the snapshot by path; the source's own index stands as the source of this one.
    """
    weight_map = {tensor.name: plan.target for plan in _shards(plans) for tensor in plan.tensors}
    total = sum(tensor.nbytes for plan in _shards(plans) for tensor in plan.tensors)
    data = canonical_json({"metadata": {"total_size": total}, "weight_map": weight_map})
    handle = os.open(root / INDEX, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    chunks = ChunkDigests()
    chunks.update(memoryview(data))
    source = known.get(INDEX) or known[plans[0].source]
    return StagedFile(
        name=INDEX,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        chunk_size=CHUNK_SIZE,
        chunks=chunks.result(),
        source=source.path,
        source_sha256=source.sha256,
    )


def _shards(plans: Sequence[CopyPlan]) -> list[CopyPlan]:
    return [plan for plan in plans if "/" not in plan.target]
