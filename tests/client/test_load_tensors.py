"""Some tensors only, and tensors of another type: what is read, what is verified, what is converted."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save

from registry_gate import errors, load_verified
from registry_gate.client.rest import RestRegistry
from registry_gate.client.rest_release import RestRelease
from registry_gate.release import Manifest, ManifestFile
from registry_gate.signing.chunks import check_chunks, wanted_chunks
from registry_gate.signing.folder import Folder, Reading
from registry_gate.testing.sample_release import CHUNK, SampleStore, stage

ONE = {f"layer.{index}.weight": torch.full((16, 4), float(index)) for index in range(8)}
TWO = {"head.weight": torch.arange(64.0), "steps": torch.arange(7), "flag": torch.tensor([True, False])}
FILES = {"a.safetensors": save(ONE), "deep/b.safetensors": save(TWO), "config.json": b"{}"}


@pytest.fixture(scope="module")
def release(store: SampleStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store.gate.release(tmp_path_factory.mktemp("made"), "acme/parts", FILES).root


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bytes that were read of each file."""
    counted: dict[str, int] = {}
    original = Folder.reading

    class Counting:
        def __init__(self, name: str, reading: Reading) -> None:
            self.name, self.reading, self.concurrent = name, reading, False

        def read_into(self, room: memoryview, at: int, run_end: int) -> int:
            count = self.reading.read_into(room, at, run_end)
            counted[self.name] = counted.get(self.name, 0) + count
            return count

    @contextmanager
    def reading(self: Folder, name: str, size: int) -> Iterator[Reading]:
        with original(self, name, size) as found:
            yield Counting(name, found)

    monkeypatch.setattr(Folder, "reading", reading)
    return counted


def refused(*arguments: object, **more: object) -> str:
    with pytest.raises(errors.Error) as caught:
        load_verified(*arguments, **more)  # type: ignore[call-overload]
    return caught.value.code


def test_only_what_is_asked_for_is_read(release: Path, read: dict[str, int], scratch: Path) -> None:
    found = load_verified(release, into="state_dict", tensors=["layer.7.weight", "head.*"])
    assert found.keys() == {"layer.7.weight", "head.weight"}
    assert torch.equal(found["layer.7.weight"], ONE["layer.7.weight"])
    assert torch.equal(found["head.weight"], TWO["head.weight"])
    header = int.from_bytes(FILES["a.safetensors"][:8], "little") + 8
    assert read["model/a.safetensors"] <= header + 16 * 4 * 4 + 3 * CHUNK
    assert "model/config.json" not in read
    assert list(scratch.iterdir()) == []


def test_every_pattern_must_find_something(release: Path) -> None:
    assert load_verified(release, into="state_dict", tensors="*").keys() == {*ONE, *TWO}
    assert len(load_verified(release, into="state_dict", tensors=["layer.[0-3].*"])) == 4
    assert refused(release, into="state_dict", tensors=["layer.0.weight", "layer.9*"]) == "no-such-tensor"
    assert refused(release, into="state_dict", tensors="LAYER.0.weight") == "no-such-tensor"


@pytest.mark.parametrize("tensors", [[], "", ["a", ""]])
def test_no_tensors_at_all_is_a_slip(tensors: object, release: Path) -> None:
    assert refused(release, into="state_dict", tensors=tensors) == "bad-tensors"


@pytest.mark.parametrize("into", ["model", "directory"])
def test_tensors_are_for_state_dicts(into: str, release: Path) -> None:
    assert refused(release, into=into, tensors="*") == "bad-tensors"


def test_a_change_in_what_is_asked_for_is_refused_and_elsewhere_is_not_looked_at(
    store: SampleStore, tmp_path: Path
) -> None:
    root = store.gate.release(tmp_path, "acme/parts", FILES).root
    path = root / "model/a.safetensors"
    original = path.read_bytes()
    wanted, other = original.index(ONE["layer.7.weight"].numpy().tobytes()), original.index(b"layer.3")
    elsewhere = original.index(ONE["layer.2.weight"].numpy().tobytes()) + 64
    for place, code in ((wanted, "bytes-differ"), (other, "bytes-differ"), (elsewhere, None)):
        changed = bytearray(original)
        changed[place] ^= 1
        path.write_bytes(changed)
        if code is None:
            assert load_verified(root, into="state_dict", tensors="layer.7.weight")
            assert refused(root, into="state_dict") == "bytes-differ"
        else:
            assert refused(root, into="state_dict", tensors="layer.7.weight") == code
    path.write_bytes(original + b"more")
    assert refused(root, into="state_dict", tensors="layer.7.weight") == "bytes-differ"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        b"\x10\0\0\0\0\0\0\0" + b"not json at all!",
        FILES["a.safetensors"][:-1],
        FILES["a.safetensors"] + b"\0",
        b"\x02\0\0\0\0\0\0\0{}",
    ],
)
def test_what_was_signed_but_is_no_safetensors_file(data: bytes, store: SampleStore, tmp_path: Path) -> None:
    root = store.gate.release(tmp_path, "acme/parts", {"a.safetensors": data}).root
    assert refused(root, into="state_dict", tensors="*") == "load-failed"
    assert refused(root, into="state_dict") == "load-failed"


def test_only_floating_tensors_are_converted(release: Path) -> None:
    for dtype in ("bfloat16", torch.bfloat16):
        found = load_verified(release, into="state_dict", dtype=dtype)  # type: ignore[arg-type]
        assert found["head.weight"].dtype is torch.bfloat16
        assert torch.equal(found["head.weight"], TWO["head.weight"].bfloat16())
        assert torch.equal(found["steps"], TWO["steps"])
        assert found["flag"].dtype is torch.bool


@pytest.mark.parametrize("dtype", ["int8", "bool", "float8_e4m3fn", "complex64", "float", "os", "", 3])
def test_types_that_would_change_more_than_precision_are_refused(dtype: object, release: Path) -> None:
    for into in ("state_dict", "model"):
        assert refused(release, into=into, dtype=dtype) == "bad-dtype"


def test_scaled_floats_are_not_converted_without_their_scale(store: SampleStore, tmp_path: Path) -> None:
    files = {"a.safetensors": save({"w": torch.ones(4).to(torch.float8_e4m3fn)})}
    root = store.gate.release(tmp_path, "acme/eight", files).root
    assert refused(root, into="state_dict", dtype="float16") == "bad-dtype"
    assert load_verified(root, into="state_dict")["w"].dtype is torch.float8_e4m3fn


@pytest.mark.parametrize("more", [{"device": "cpu"}, {"dtype": "float16"}])
def test_a_directory_is_copied_as_it_is(more: dict[str, str], release: Path) -> None:
    assert refused(release, into="directory", **more) == "bad-into"


class Ranges(http.server.BaseHTTPRequestHandler):
    """A server that serves one artifact: honouring ranges, ignoring them, or getting them wrong."""

    data: ClassVar[bytes] = bytes(range(256)) * 8
    mode: ClassVar[str] = "honours"
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.asked.append(asked)
        found = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", asked or "")
        if found is None or self.mode == "ignores":
            self._send(200, self.data, {})
            return
        first, last = int(found[1]), min(int(found[2]), len(self.data) - 1)
        if first > last:
            self._send(416, b"", {})
            return
        stated = {
            "longer": f"bytes {first}-{last}/{len(self.data) + 1}",
            "other": f"bytes {first + 1}-{last}/{len(self.data)}",
            "more": f"bytes {first}-{last + 1}/{len(self.data)}",
            "silent": "",
            "unknown": f"bytes {first}-{last}/*",
        }.get(self.mode, f"bytes {first}-{last}/{len(self.data)}")
        body = self.data[first : last + 1]
        if self.mode == "cuts":
            self._send(206, body[: len(body) // 2], {"Content-Range": stated}, len(body))
        else:
            self._send(206, body, {"Content-Range": stated})

    def _send(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def ranges() -> Iterator[tuple[str, type[Ranges]]]:
    handler = type("OneRanges", (Ranges,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def described(tmp_path: Path, data: bytes = Ranges.data) -> ManifestFile:
    (file,) = stage(tmp_path, {"a.bin": data}).files
    return ManifestFile(
        name=file.name, size=file.size, sha256=file.sha256, chunk_size=file.chunk_size, chunks=file.chunks
    )


def take(uri: str, file: ManifestFile, spans: list[tuple[int, int]] | None, out: int | None = None) -> None:
    release = RestRelease(RestRegistry(uri), "root")
    with release.reading(file.name, file.size) as reading:
        check_chunks(reading, file, wanted_chunks(file, spans), out=out)


SPANS = [(10, 20), (60, 70), (1000, 1001), (2040, 2048)]


@pytest.mark.parametrize("mode", ["honours", "ignores", "unknown"])
def test_only_the_wanted_ranges_are_asked_of_a_server_that_knows_ranges(
    mode: str, ranges: tuple[str, type[Ranges]], tmp_path: Path
) -> None:
    uri, handler = ranges
    handler.mode = mode
    with (tmp_path / "out").open("w+b") as out:
        take(uri, described(tmp_path / "made"), SPANS, out.fileno())
        got = out.read()
    for begin, end in SPANS:
        assert got[begin:end] == Ranges.data[begin:end]
    wanted = ["bytes=0-127", "bytes=960-1023", "bytes=1984-2047"]
    assert handler.asked == (wanted[:1] if mode == "ignores" else wanted)


def test_a_whole_file_is_one_plain_request(ranges: tuple[str, type[Ranges]], tmp_path: Path) -> None:
    uri, handler = ranges
    take(uri, described(tmp_path), None)
    assert handler.asked == [None]


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("longer", "bytes-differ"),
        ("other", "registry-unreachable"),
        ("more", "registry-unreachable"),
        ("silent", "registry-unreachable"),
        ("cuts", "registry-unreachable"),
    ],
)
def test_a_range_that_is_not_the_one_asked_for_is_no_answer(
    mode: str, code: str, ranges: tuple[str, type[Ranges]], tmp_path: Path
) -> None:
    uri, handler = ranges
    handler.mode = mode
    with pytest.raises(errors.Error) as caught:
        take(uri, described(tmp_path), SPANS)
    assert caught.value.code == code


def test_a_file_that_the_server_has_only_part_of(ranges: tuple[str, type[Ranges]], tmp_path: Path) -> None:
    uri, handler = ranges
    file = described(tmp_path)
    handler.data = Ranges.data[:1500]
    for spans in ([(2040, 2048)], [(1000, 1001)], None):
        with pytest.raises(errors.VerificationError) as caught:
            take(uri, file, spans)
        assert caught.value.code == "bytes-differ"
    handler.data = Ranges.data + b"more"
    with pytest.raises(errors.VerificationError) as caught:
        take(uri, file, None)
    assert caught.value.code == "bytes-differ"


def test_from_a_server_with_passwords(served: SampleStore, as_admin: None, tmp_path: Path) -> None:
    """MLflow's proxy ignores ranges: what is not wanted is thrown away."""
    served.admit(tmp_path, "acme/parts", FILES)
    found = load_verified("acme/parts", into="state_dict", tensors=["layer.5.weight", "steps"])
    assert torch.equal(found["layer.5.weight"], ONE["layer.5.weight"])
    assert torch.equal(found["steps"], TWO["steps"])


def test_large_files_are_verified_by_several_threads(tmp_path: Path) -> None:
    data = bytes(5 << 20)
    file = described(tmp_path, data)
    chunks = wanted_chunks(file)
    assert [chunk.end for chunk in chunks] == list(file.pieces())
    assert {chunk.run_end for chunk in chunks} == {file.size}
    names: set[str] = set()

    class Here:
        concurrent = True

        def read_into(self, room: memoryview, at: int, run_end: int) -> int:
            names.add(threading.current_thread().name)
            room[:] = bytes(len(room))
            return min(len(room), max(0, file.size - at))

    check_chunks(Here(), file, chunks, threads=2)
    assert len(names - {threading.main_thread().name}) == 2
    Manifest(files=(file,))
