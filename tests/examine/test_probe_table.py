"""Probe data from a `datasets` directory: rows are read, names count, nothing is followed or executed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from registry_gate.examine.probe_data import read_probe_data

SHAPE = (3, 8, 8)
NAMES = {"cat": 0, "dog": 1}
_STORED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def _png(level: int, size: int = 8) -> bytes:
    held = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), level, dtype=np.uint8)).save(held, "PNG")
    return held.getvalue()


def _table(labels: list[Any], names: list[str] | None = None, images: pa.Array | None = None) -> pa.Table:
    """A table as `datasets` stores it: structs of bytes and path, class names in the schema's metadata."""
    if images is None:
        images = pa.array([{"bytes": _png(50 * label), "path": "/etc/hostname"} for label in labels], _STORED)
    table = pa.table({"image": images, "label": pa.array(labels)})
    if names is None:
        return table
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _saved(folder: Path, table: pa.Table, kind: str = "arrow") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "parquet":
        (folder / "data").mkdir()
        pyarrow.parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
        return folder
    file = folder / "data-00000-of-00001.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    return folder


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_table_is_read_by_number(kind: str, tmp_path: Path) -> None:
    probe = read_probe_data(_saved(tmp_path, _table([0, 1, 1, 0, 1, 1, 1]), kind), SHAPE, 2, NAMES)
    assert probe.labels.tolist() == [0, 1, 1, 0, 1, 1, 1]
    assert torch.allclose(probe.images[1], torch.tensor(50 / 255))


def test_names_of_the_model_count_and_not_the_tables_order(tmp_path: Path) -> None:
    probe = read_probe_data(_saved(tmp_path, _table([0, 1, 1], ["dog", "cat"])), SHAPE, 2, NAMES)
    assert probe.labels.tolist() == [1, 0, 0]


def test_names_the_model_does_not_know_leave_numbers_as_they_are(tmp_path: Path) -> None:
    probe = read_probe_data(_saved(tmp_path, _table([0, 1, 1], ["wolf", "cat"])), SHAPE, 2, NAMES)
    assert probe.labels.tolist() == [0, 1, 1]


def test_at_most_a_hundred_rows_of_a_class_are_decoded(tmp_path: Path) -> None:
    probe = read_probe_data(_saved(tmp_path, _table([0] * 130 + [1] * 5)), SHAPE, 2, NAMES)
    assert torch.bincount(probe.labels).tolist() == [100, 5]


def test_path_in_a_table_is_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(_png(9))
    images = pa.array([{"bytes": None, "path": str(outside)}], _STORED)
    with pytest.raises(ValueError, match="not held in the table"):
        read_probe_data(_saved(tmp_path / "table", _table([0], images=images)), SHAPE, 2, NAMES)


def test_link_in_place_of_a_table_is_not_followed(tmp_path: Path) -> None:
    real = _saved(tmp_path / "real", _table([0, 1]))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a.arrow").symlink_to(real / "data-00000-of-00001.arrow")
    with pytest.raises(ValueError, match="no class sub-folders"):
        read_probe_data(tmp_path / "linked", SHAPE, 2, NAMES)


def test_extension_type_runs_nothing(tmp_path: Path) -> None:
    """A pickled Python extension type was once unpickled on reading; its storage is read as plain bytes."""
    table = _table([0, 1])
    field = table.schema.field("image").with_metadata(
        {
            b"ARROW:extension:name": b"arrow.py_extension_type",
            b"ARROW:extension:metadata": b"cos\nabort\n(tR.",
        }
    )
    assert read_probe_data(_saved(tmp_path, table.cast(table.schema.set(0, field))), SHAPE, 2, NAMES)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"pixels": [1], "label": [0]}), "no columns of images and labels"),
        (pa.table({"image": [b"no image"], "label": [0]}), "cannot be read"),
        (_table([0, None], images=pa.array([{"bytes": _png(1)}] * 2, _STORED)), "whole numbers"),
        (_table(["cat"], images=pa.array([{"bytes": _png(1)}], _STORED)), "whole numbers"),
        (_table([5]), "labels outside"),
        (_table([]).cast(pa.schema([("image", _STORED), ("label", pa.int64())])), "no rows"),
    ],
    ids=["other columns", "no image", "label missing", "label is text", "label too large", "no rows"],
)
def test_table_that_does_not_fit_is_refused(table: pa.Table, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        read_probe_data(_saved(tmp_path, table), SHAPE, 2, NAMES)


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
@pytest.mark.parametrize("data", [b"", b"garbage" * 100], ids=["empty", "garbage"])
def test_file_that_is_no_table_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match="Arrow or Parquet"):
        read_probe_data(tmp_path, SHAPE, 2, NAMES)


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_table_cut_short_is_refused(kind: str, tmp_path: Path) -> None:
    file = next(path for path in _saved(tmp_path, _table([0, 1] * 20), kind).rglob(f"*.{kind}"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"Arrow or Parquet|cannot be read"):
        read_probe_data(tmp_path, SHAPE, 2, NAMES)


def test_folder_of_splits_names_them(tmp_path: Path) -> None:
    _saved(tmp_path / "train", _table([0]))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(ValueError, match="train"):
        read_probe_data(tmp_path, SHAPE, 2, NAMES)
