"""From the described object of a torch checkpoint to its tensors: names, types, shapes, places; no torch.

Only constructs whose meaning is fixed are evaluated: mappings, ``torch._utils._rebuild_*`` over storages that
are persistent ids ``("storage", type, key, location, numel)``. Source: torch 2.13 ``torch/_utils.py``,
``torch/serialization.py`` (``_load.persistent_load``), ``torch/storage.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from registry_gate.evidence import Problem, TensorSource
from registry_gate.formats.dtypes import BITS, TORCH_DTYPES
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.pickle_values import Call, DictValue, Global, Value, render
from registry_gate.formats.shown import shown
from registry_gate.formats.storages import UNTYPED, NotConvertible, NotPlain, Storage, storage_of
from registry_gate.formats.tensor_names import name_problem
from registry_gate.formats.zip_layout import Member

_MAX_DIMENSIONS = 64
_MAX_WRAPPING = 4
_SHOWN = 8
_STATE_KEYS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")


BLOCKING = frozenset(
    {"zip-malformed", "zip-readers-differ", "zip-hidden-bytes", "zip-compressed", "legacy-malformed"}
    | {"legacy-trailing-bytes", "several-state-dicts", "tensor-limit", "tensor-name", "tensor-not-plain"}
    | {"tensor-not-convertible", "pickle-trailing-bytes"}
)
"""Problems after which the list of tensors is not the whole truth, so nothing may be copied by it."""
MAX_GROWTH = 4
"""How many times a file's size its tensors may take when written out: the bound of the copy plan."""


@dataclass
class Collection:
    """The tensors of one checkpoint of ``size`` bytes while they are collected."""

    members: Mapping[str, Member]
    limits: ReaderLimits
    size: int
    byteorder: str = "little"
    storages: dict[str, Storage] = field(default_factory=dict)
    tensors: list[TensorSource] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    extra_count: int = 0
    holding: dict[int, bool] = field(default_factory=dict)

    def set_aside(self, value: Value) -> None:
        """Note something that is no weight."""
        self.extra_count += 1
        if len(self.extras) < _SHOWN:
            self.extras.append(render(value))

    def problem(self, code: str, detail: str, name: str | None = None) -> None:
        """Record a problem, up to the limit."""
        if len(self.problems) < self.limits.max_problems:
            self.problems.append(Problem(code=code, detail=shown(detail, 300), field=name and shown(name)))


def collect(
    result: Value, members: Mapping[str, Member], limits: ReaderLimits, size: int, byteorder: str = "little"
) -> Collection:
    """Find the one state dict in a checkpoint and describe its tensors.

    Args:
        result: the object that the pickle program returns, as the symbolic machine describes it.
        members: the archive's storages by key.
        limits: bounds on tensors and problems.
        size: of the whole file, in bytes.
        byteorder: ``little`` or ``big``.

    Returns:
        Tensors with absolute offsets, problems, and a description of everything left over.
    """
    collection = Collection(members, limits, size, byteorder)
    pairs = _state_dict(result, collection)
    names: set[str] = set()
    for key, value in pairs[: limits.max_tensors]:
        _add(collection, names, key, value)
    if len(pairs) > limits.max_tensors:
        collection.problem("tensor-limit", f"{len(pairs)} entries, more than {limits.max_tensors}")
    written = sum(tensor.nbytes for tensor in collection.tensors)
    if written > MAX_GROWTH * size:
        detail = f"written out, the tensors take {written} bytes, more than {MAX_GROWTH} times the file"
        collection.problem("tensor-not-convertible", detail)
    if collection.extras:
        shown = ", ".join(collection.extras)
        collection.problem("extra-objects", f"{collection.extra_count} things that are no weights: {shown}")
    return collection


def mapping(value: Value) -> list[tuple[Value, Value]] | None:
    """The pairs of a dict or OrderedDict, None for anything else."""
    if isinstance(value, DictValue):
        return value.pairs
    if not isinstance(value, Call) or value.function is None or value.arguments:
        return None
    return value.pairs if value.function.path == "collections.OrderedDict" else None


def is_tensor(value: Value) -> bool:
    """True when a value is the result of a function that rebuilds some tensor, plain or not."""
    function = value.function if isinstance(value, Call) else None
    return function is not None and function.module.startswith("torch._") and "_rebuild" in function.name


def _state_dict(result: Value, collection: Collection) -> list[tuple[Value, Value]]:
    """The pairs of the mapping that holds the tensors; what stands beside it is noted as extra."""
    value = result
    for _ in range(_MAX_WRAPPING):
        pairs = mapping(value)
        if pairs is None:
            collection.set_aside(value)
            return []
        if any(is_tensor(item) for _, item in pairs):
            return pairs
        chosen = _choose(pairs, collection)
        if chosen is None:
            return []
        value = chosen
    return []


def _choose(pairs: list[tuple[Value, Value]], collection: Collection) -> Value:
    """The entry that holds a checkpoint's weights, which has no tensors of its own; None if not plain."""
    candidates = [(key, item) for key, item in pairs if _holds_tensors(collection, item)]
    known = [(key, item) for key, item in candidates if isinstance(key, str) and key in _STATE_KEYS]
    chosen = known or candidates
    if len(chosen) > 1:
        names = ", ".join(render(key) for key, _ in chosen[:_SHOWN])
        collection.problem("several-state-dicts", f"tensors lie under several entries: {names}")
        return None
    picked = chosen[0][1] if chosen else None
    for key, item in pairs:
        if picked is None or item is not picked:
            collection.set_aside(key)
    return picked


def _holds_tensors(collection: Collection, value: Value, depth: int = 0) -> bool:
    """True for a mapping with tensors in it, or wrapped below a usual key; each mapping is walked once."""
    pairs = mapping(value)
    if pairs is None or depth > _MAX_WRAPPING:
        return False
    known = collection.holding.get(id(pairs))
    if known is None:
        collection.holding[id(pairs)] = False  # a mapping inside itself holds nothing by that
        known = any(is_tensor(item) for _, item in pairs) or any(
            isinstance(key, str) and key in _STATE_KEYS and _holds_tensors(collection, item, depth + 1)
            for key, item in pairs
        )
        collection.holding[id(pairs)] = known
    return known


def _add(collection: Collection, names: set[str], key: Value, value: Value) -> None:
    if not is_tensor(value):
        collection.set_aside(key)
        return
    if type(key) is int:
        detail = f"{render(key)} names a tensor by number, which no safetensors file can; save under texts"
        collection.problem("tensor-not-convertible", detail)
        return
    hazard = name_problem(key) if isinstance(key, str) else "is no text"
    if not isinstance(key, str) or hazard:
        collection.problem("tensor-name", f"the tensor name {render(key)} {hazard}")
        return
    if key in names:
        collection.problem("tensor-name", f"the tensor name {render(key)} is set twice", key)
        return
    names.add(key)
    try:
        collection.tensors.append(_tensor(collection, key, value))
    except NotPlain as reason:
        code = "tensor-not-convertible" if isinstance(reason, NotConvertible) else "tensor-not-plain"
        collection.problem(code, f"{render(key)}: {reason}", key)


def _tensor(collection: Collection, name: str, value: Value) -> TensorSource:
    arguments, rebuild = _unwrap(value)
    dtype = _dtype(arguments[6], "v3") if rebuild.endswith("v3") else None
    metadata = arguments[7:] if rebuild.endswith("v3") else arguments[6:]
    if any(mapping(item) != [] and item is not None for item in (*arguments[5:6], *metadata)):
        said = render(arguments[5:])
        raise NotConvertible(f"carries hooks or view metadata (conjugate or negative bit): {said}")
    storage = _storage(collection, arguments[0], dtype is not None)
    element = dtype or storage.dtype
    if element is None:
        raise NotConvertible(f"elements of {storage.kind} have no safetensors counterpart")
    return _placed(collection, name, element, storage, arguments)


def _unwrap(value: Value) -> tuple[tuple[Value, ...], str]:
    """The arguments of the innermost rebuild function, parameters being tensors with a flag."""
    for _ in range(3):
        if not (isinstance(value, Call) and value.function and isinstance(value.arguments, tuple)):
            break
        path, arguments = value.function.path, value.arguments
        changed = value.states or value.pairs or value.items
        if (
            path == _FROM_TYPE
            and len(arguments) == 4
            and _path(arguments[1]) == "torch.Tensor"
            and not changed
        ):
            # torch's own class, and attributes beside it, which no weight needs
            value = Call(*_inner(arguments), value.number)
            continue
        if path in _NO_COUNTERPART:
            raise NotConvertible(_NO_COUNTERPART[path])
        low, high, inner = _REBUILD.get(path, (0, -1, False))
        if not low <= len(arguments) <= high:
            break
        if changed:
            raise NotConvertible("its state is changed after it was rebuilt")
        if not inner:
            return arguments, path
        value = arguments[0]
    raise NotPlain(f"rebuilt in an unknown way: {render(value)}")


def _path(value: Value) -> str:
    return value.path if isinstance(value, Global) else ""


def _inner(arguments: tuple[Value, ...]) -> tuple[Global | None, Value]:
    function = arguments[0]
    return (function if isinstance(function, Global) else None), arguments[2]


_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
_REBUILD: dict[str, tuple[int, int, bool]] = {
    "torch._utils._rebuild_tensor": (4, 4, False),
    "torch._utils._rebuild_tensor_v2": (6, 7, False),
    "torch._utils._rebuild_tensor_v3": (7, 8, False),
    "torch._utils._rebuild_parameter": (3, 3, True),
    "torch._utils._rebuild_parameter_with_state": (4, 4, True),
}
"""Fewest and most arguments, and whether the first one is the tensor itself."""
_NO_COUNTERPART = {
    "torch._utils._rebuild_qtensor": "is quantised: safetensors has no scale, zero point; save dequantize()",
    "torch._utils._rebuild_sparse_tensor": "is sparse: safetensors holds dense tensors only; save to_dense()",
    "torch._utils._rebuild_sparse_csr_tensor": "is sparse: safetensors holds dense tensors; save to_dense()",
    "torch._utils._rebuild_meta_tensor_no_storage": "is on the meta device: it has no elements at all",
    "torch._utils._rebuild_nested_tensor": "is nested: safetensors holds plain tensors only",
    _FROM_TYPE: "is of a subclass of Tensor, whose meaning its bytes do not hold",
    "torch._utils._rebuild_wrapper_subclass": "is of a subclass of Tensor, whose bytes are not its own",
}
"""Tensors whose bytes alone are not what they are, and what to do about it."""


def _dtype(value: Value, what: str) -> str:
    if not (isinstance(value, Global) and value.module == "torch"):
        raise NotPlain(f"element type {render(value)} ({what})")
    found = TORCH_DTYPES.get(value.name)
    if found is None:
        raise NotConvertible(f"element type {render(value)} has no safetensors counterpart")
    return found


def _storage(collection: Collection, value: Value, typed_by_tensor: bool) -> Storage:
    storage = storage_of(value)
    if (storage.kind == UNTYPED) is not typed_by_tensor:
        raise NotPlain(f"storage {storage.kind} does not go with the function that rebuilds it")
    whole = Storage(storage.key, storage.kind, storage.numel)
    if collection.storages.setdefault(storage.key, whole) != whole:
        raise NotPlain(f"storage {render(storage.key)} is named with two types or lengths")
    return storage


def _placed(
    collection: Collection, name: str, dtype: str, storage: Storage, arguments: tuple[Value, ...]
) -> TensorSource:
    offset, shape, stride = arguments[1], _sizes(arguments[2]), _sizes(arguments[3])
    member = collection.members.get(storage.key)
    itemsize = BITS[dtype] // 8
    if member is None or not member.stored:
        raise NotPlain(f"storage {render(storage.key)} is not stored in the file")
    if storage.numel * (storage.itemsize or 0) != member.size:
        raise NotPlain(
            f"storage {render(storage.key)} states {storage.numel} elements and holds {member.size} bytes"
        )
    if type(offset) is not int or offset < 0 or len(shape) != len(stride):
        raise NotPlain("offset, shape and stride do not go together")
    begin, room = _room(storage, member, itemsize)
    count = math.prod(shape)
    reach = sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) if count else -1
    if (offset + reach + 1) * itemsize > room:
        raise NotPlain("reaches behind the end of its storage")
    if count * itemsize > MAX_GROWTH * collection.size:
        raise NotConvertible(
            f"repeats elements: its {count * itemsize} bytes are more than {MAX_GROWTH} times the file"
        )
    return TensorSource(
        name=name,
        dtype=dtype,
        shape=shape,
        storage=storage.key,
        offset=begin + offset * itemsize,
        nbytes=count * itemsize,
        stride=None if _contiguous(shape, stride) else stride,
        byteorder=collection.byteorder,
    )


def _room(storage: Storage, member: Member, itemsize: int) -> tuple[int, int]:
    """Where in the file the part of a storage that is meant begins, and how many bytes it has."""
    if storage.view is None:
        return member.offset, member.size
    first, length = storage.view
    if (first + length) * itemsize > member.size:
        raise NotPlain("is a view behind the end of its storage")
    return member.offset + first * itemsize, length * itemsize


def _sizes(value: Value) -> tuple[int, ...]:
    """A tuple or ``torch.Size`` of sizes; none negative, at most 64."""
    if isinstance(value, Call) and value.function and value.function.path == "torch.Size":
        value = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else None
    if not isinstance(value, tuple) or len(value) > _MAX_DIMENSIONS:
        raise NotPlain(f"shape or stride {render(value)}")
    sizes = tuple(item for item in value if type(item) is int and 0 <= item < 2**62)
    if len(sizes) != len(value):
        raise NotPlain(f"shape or stride {render(value)}")
    return sizes


def _contiguous(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """C-contiguous as torch means it: strides of dimensions of size 1, or of no elements, do not matter."""
    expected = 1
    if 0 in shape:
        return True
    for size, step in zip(reversed(shape), reversed(stride), strict=True):
        if size != 1 and step != expected:
            return False
        expected *= size
    return True
