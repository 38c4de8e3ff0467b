"""Probe data from a `datasets` directory: Arrow and Parquet files read as tables. Runs confined.

The library that writes such directories is not needed to read them, and nothing of theirs is executed: no
loading script, no pickle, no extension type. Images are the encoded bytes in the table itself; a path in a
table is never followed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_IMAGES = ("image", "img")
_LABELS = ("label", "labels", "fine_label")
_SUFFIXES = (".arrow", ".parquet")
_MAX_FILES = 200
_MAX_BYTES = 2 << 30
_MAX_METADATA = 4 << 20
_MAX_ROWS = 2_000_000
_ROWS_AT_ONCE = 256


def is_table(folder: Path) -> bool:
    """Whether the folder holds Arrow or Parquet files, itself, in ``data/`` or in folders of splits."""
    return bool(_files(folder)) or (folder / "dataset_dict.json").is_file()


def labelled_images(folder: Path, names: Mapping[str, int], per_class: int) -> Iterator[tuple[bytes, int]]:
    """Encoded images and class numbers, at most ``per_class`` of each class.

    Args:
        folder: as ``save_to_disk`` writes it, or with Parquet files in it or in ``data/``.
        names: the model's class numbers by name. Where the table names its classes by these, names count and
            not the table's own order.
        per_class: images kept of each class; reading stops where every class of the table has as many.

    Raises:
        ValueError: not such a directory, or a table without images and labels; the message says why.
    """
    import pyarrow as pa

    if (folder / "dataset_dict.json").is_file():
        splits = sorted(item.name for item in folder.iterdir() if item.is_dir())
        raise ValueError(
            f"probe data holds several splits; name one of the folders {', '.join(splits)[:200]}"
        )
    numbers: dict[int, int] = {}
    kept: Counter[int] = Counter()
    seen = 0
    try:
        for batch in _batches(_files(folder)):
            numbers = numbers or _numbers(folder, batch.schema, names)
            seen += batch.num_rows
            if seen > _MAX_ROWS:
                raise ValueError(f"probe data has more than {_MAX_ROWS} rows")
            for image, label in _rows(batch):
                label = numbers.get(label, label)  # noqa: PLW2901 - the model's number for the table's
                if kept[label] < per_class:
                    kept[label] += 1
                    yield image, label
    except pa.ArrowException as error:
        raise ValueError(f"probe data: no readable Arrow or Parquet: {str(error)[:200]!r}") from error


def _files(folder: Path) -> list[Path]:
    places = [folder, folder / "data"]
    found = [
        item
        for place in places
        if place.is_dir()
        for item in sorted(place.iterdir())
        if item.suffix in _SUFFIXES and item.is_file() and not item.is_symlink()
    ]
    if len(found) > _MAX_FILES or sum(item.stat().st_size for item in found) > _MAX_BYTES:
        raise ValueError(f"probe data has more than {_MAX_FILES} files or {_MAX_BYTES} bytes of tables")
    return found


def _batches(files: list[Path]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet

    for file in files:
        if file.suffix == ".parquet":
            with pyarrow.parquet.ParquetFile(file) as table:
                columns = [name for name in table.schema_arrow.names if name in (*_IMAGES, *_LABELS)]
                yield from table.iter_batches(_ROWS_AT_ONCE, columns=columns)
            continue
        with pa.memory_map(str(file)) as source:
            stream = pa.ipc.open_stream(source)
            for batch in stream:
                for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                    yield batch.slice(start, _ROWS_AT_ONCE)


def _rows(batch: Any) -> Iterator[tuple[bytes, int]]:
    """Encoded image and label of each row of a batch."""
    columns = batch.schema.names
    image = next((name for name in _IMAGES if name in columns), None)
    label = next((name for name in _LABELS if name in columns), None)
    if image is None or label is None:
        raise ValueError(f"probe data: no columns of images and labels among {', '.join(columns)[:200]!r}")
    pairs = zip(batch.column(image).to_pylist(), batch.column(label).to_pylist(), strict=True)
    for encoded, number in pairs:
        held = encoded.get("bytes") if isinstance(encoded, dict) else encoded
        if not isinstance(held, bytes):
            raise ValueError(
                "probe data: an image is not held in the table itself; embed the images before saving"
            )
        if not isinstance(number, int) or isinstance(number, bool):
            raise ValueError("probe data: labels must be whole numbers")
        yield held, number


def _numbers(folder: Path, schema: Any, names: Mapping[str, int]) -> dict[int, int]:
    """The model's class numbers by the table's, where the table's names are all names of the model."""
    own = _class_names(folder, schema)
    if not own or not all(name in names for name in own):
        return {}
    return {number: names[name] for number, name in enumerate(own)}


def _class_names(folder: Path, schema: Any) -> list[str]:
    """The names of the label column's classes, from the table's metadata or the file beside it."""
    said = (schema.metadata or {}).get(b"huggingface")
    beside = folder / "dataset_info.json"
    try:
        if said is not None and len(said) <= _MAX_METADATA:
            features = json.loads(said)["info"]["features"]
        elif beside.is_file() and beside.stat().st_size <= _MAX_METADATA:
            features = json.loads(beside.read_bytes())["features"]
        else:
            return []
        named = next(features[column]["names"] for column in _LABELS if column in features)
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return []
    well_formed = isinstance(named, list) and all(isinstance(name, str) for name in named)
    return named if well_formed else []
