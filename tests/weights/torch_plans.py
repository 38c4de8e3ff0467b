"""Copy plans made with torch itself as the oracle, independent of the product's readers."""

import hashlib
from pathlib import Path

import torch

from registry_gate.candidate import Snapshot, SnapshotFile
from registry_gate.evidence import CopyPlan, TensorSource, WeightSet

KINDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.bool: "BOOL",
    torch.complex64: "C64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.float8_e8m0fnu: "F8_E8M0",
}


def snapshot_of(root: Path) -> Snapshot:
    files = tuple(
        SnapshotFile(
            path=path.relative_to(root).as_posix(),
            size=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(root.rglob("*"))
        if path.is_file()
    )
    return Snapshot(listing_digest="sha256:" + "0" * 64, root=root, files=files)


def sources_of(path: Path) -> tuple[TensorSource, ...]:
    """Where torch put each tensor of a zip checkpoint: storages are numbered as they are first met."""
    state = torch.load(path, weights_only=True)
    reader = torch._C.PyTorchFileReader(str(path))
    storages = {}
    sources = []
    for name, tensor in state.items():
        storage = tensor.untyped_storage()
        key = storages.setdefault(storage.data_ptr() or id(storage), str(len(storages)))
        offset = reader.get_record_offset(f"data/{key}") + tensor.storage_offset() * tensor.element_size()
        sources.append(
            TensorSource(
                name=name,
                dtype=KINDS[tensor.dtype],
                shape=tuple(tensor.shape),
                storage=key,
                offset=offset,
                nbytes=tensor.numel() * tensor.element_size(),
                stride=None if tensor.is_contiguous() else tensor.stride(),
            )
        )
    return tuple(sources)


def plan_for(path: Path) -> WeightSet:
    plan = CopyPlan(
        source=path.name, target="model.safetensors", tensors=sources_of(path), metadata={"format": "pt"}
    )
    return WeightSet(plans=(plan,))
