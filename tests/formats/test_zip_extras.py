"""Extra fields hold what writers of archives put there, and nothing else."""

import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.formats import ReaderLimits, describe
from registry_gate.formats.zip_extras import hidden, kinds


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
