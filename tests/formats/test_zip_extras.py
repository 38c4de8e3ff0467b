"""Extra fields hold what writers of archives put there, and nothing else."""

import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.formats import ReaderLimits, describe
from registry_gate.formats.zip_extras import FULL32, hidden, kinds, sizes_agree


def field(kind, body):
    return struct.pack("<2H", kind, len(body)) + body


@pytest.mark.parametrize(
    "extra",
    [
        b"",
        field(0x4246, b"Z" * 60),
        field(1, bytes(16)),
        field(0x5455, b"\x03" + bytes(8)) + field(0x7875, b"\x01\x04" + bytes(9)),
        field(0x000A, bytes(32)),
    ],
)
def test_what_writers_put_there(extra):
    assert hidden(extra) is None


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (field(0x4246, b"Z" * 20 + b"cos\nsystem\n"), "padding"),
        (field(0xCAFE, b"x"), "0xcafe"),
        (field(0x5455, bytes(400)), "0x5455"),
        (field(1, bytes(16)) + b"abc", "3 bytes behind"),
        (struct.pack("<2H", 1, 900) + bytes(16), "20 bytes behind"),
    ],
)
def test_what_hides_there(extra, said):
    assert said in hidden(extra)


@given(st.binary(max_size=80))
def test_any_bytes_are_judged(extra):
    assert hidden(extra) is None or kinds(extra) or extra


def test_the_padding_of_torch_is_as_it_is_said_to_be(tmp_path):
    """Storages begin at a multiple of 64 bytes, behind padding of every length."""
    for size in range(1, 40):
        torch.save({"k" * size: torch.ones(size), "b": torch.ones(3)}, tmp_path / "model.pt")
        assert not describe(tmp_path / "model.pt", "model.pt", ReaderLimits()).problems


BIG, FAR = 4_400_000_000, 4_400_000_984
"""A storage of this size, and the offset of the record behind it, in a file that torch 2.13 wrote."""


def wide(*values):
    return field(1, struct.pack(f"<{len(values)}Q", *values))


@pytest.mark.parametrize(
    ("extra", "local", "stated", "header"),
    [
        (field(0x4246, b"ZZ"), (0, 0), (12, 12), 726),
        (wide(BIG, 0) + field(0x4246, b"Z" * 36), (0, 0), (BIG, BIG), 860),
        (wide(FAR) + field(0x4246, b"Z" * 48), (0, 0), (20, 20), FAR),
        (wide(BIG, 0, FAR), (0, 0), (BIG, BIG), FAR),
        (wide(0, 0), (FULL32, FULL32), (7, 7), 0),
    ],
)
def test_what_torch_and_python_write_for_large_files(extra, local, stated, header):
    assert sizes_agree(extra, local, stated, header, deferred=True)


@pytest.mark.parametrize("deferred", [True, False])
@pytest.mark.parametrize(
    ("extra", "local", "stated", "header"),
    [
        (wide(7, 7), (7, 7), (7, 7), 0),
        (wide(8, 7), (FULL32, FULL32), (7, 7), 0),
        (wide(7), (FULL32, FULL32), (7, 7), 0),
        (wide(7, 7, 0), (FULL32, FULL32), (7, 7), 0),
        (wide(BIG, BIG + 1), (FULL32, FULL32), (BIG, BIG), 0),
        (wide(BIG, BIG, FAR + 1), (FULL32, FULL32), (BIG, BIG), FAR),
        (wide(FAR + 1), (20, 20), (20, 20), FAR),
        (wide(BIG, BIG) * 2, (FULL32, FULL32), (BIG, BIG), 0),
        (field(1, b""), (20, 20), (20, 20), FAR),
        (field(1, b"1234567"), (20, 20), (20, 20), FAR),
        (b"", (FULL32, FULL32), (BIG, BIG), 0),
    ],
)
def test_a_reader_of_local_headers_would_see_other_sizes(extra, local, stated, header, deferred):
    assert not sizes_agree(extra, local, stated, header, deferred=deferred)
