"""Digest algorithms: named and signed, from one list, never guessed; what was signed before still loads."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import save

from registry_gate import load_verified
from registry_gate.errors import VerificationError
from registry_gate.evidence import Evidence, Staged, StagedFile, TensorMeasurement
from registry_gate.hashing import ALGORITHMS
from registry_gate.release import Manifest, ManifestFile
from registry_gate.signing import bytes as whole_files
from registry_gate.signing.bytes import check_bytes
from registry_gate.signing.chunks import check_chunks, wanted_chunks
from registry_gate.signing.folder import Folder
from registry_gate.signing.manifest import check_manifest
from registry_gate.signing.trust import load_trust
from registry_gate.signing.verify import read_statements, verify_release
from registry_gate.testing import sample_release
from registry_gate.testing.sample_release import SampleGate

OLD = Path(__file__).parent.parent / "assets" / "signed_before_blake3"
"""Signed by the gate's code of the commit before BLAKE3, with its trust and its evidence."""
SIGNED_AT = datetime(2026, 11, 26, tzinfo=UTC)
TENSORS = {"one": torch.arange(24.0).reshape(4, 6), "two": torch.ones(9)}
FILES = {"config.json": b"{}", "model.safetensors": save(TENSORS)}
WEIGHTS = "model/model.safetensors"


def manifest_of(root: Path, gate: SampleGate) -> Manifest:
    with Folder(root) as source:
        return read_statements(source, gate.trust).manifest


def refused(root: Path, gate: SampleGate, **how: object) -> str:
    with pytest.raises(VerificationError) as caught:
        load_verified(root, trust=gate.trust, **how)  # type: ignore[call-overload]
    return caught.value.code


def verify_refuses(root: Path, gate: SampleGate) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_release(root, gate.trust)
    return caught.value.code


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(torch.equal(found[name], TENSORS[name]) for name in found)


def test_a_release_signed_before_blake3_verifies_and_its_evidence_keeps_its_digest() -> None:
    root = OLD / "release"
    verified = verify_release(root, load_trust(OLD / "trust.json"), now=SIGNED_AT)
    evidence = Evidence.from_json((OLD / "evidence.json").read_bytes())
    assert evidence.canonical() == (OLD / "evidence.json").read_bytes()
    assert evidence.digest() == verified.evidence_digest
    with Folder(root) as source:
        found = read_statements(source, load_trust(OLD / "trust.json"), now=SIGNED_AT)
        assert {file.algorithm for file in found.manifest.files} == {"sha256"}
        assert b'"algorithm"' not in found.manifest.canonical()


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_either_algorithm_loads_every_way_and_refuses_a_changed_byte(
    algorithm: str, gate: SampleGate, tmp_path: Path
) -> None:
    root = replace(gate, algorithm=algorithm).release(tmp_path, files=FILES).root
    assert same(load_verified(root, trust=gate.trust, into="state_dict"))
    assert same(load_verified(root, trust=gate.trust, into="state_dict", tensors=["one", "two"]))
    copy = load_verified(root, trust=gate.trust, into="directory")
    assert (copy / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    subprocess.run(["chmod", "-R", "u+w", copy.parent.parent], check=True)
    shutil.rmtree(copy.parent.parent)
    assert verify_release(root, gate.trust)
    data = bytearray(FILES["model.safetensors"])
    data[-1] ^= 1
    (root / WEIGHTS).write_bytes(data)
    for how in ({"into": "state_dict"}, {"into": "state_dict", "tensors": "*"}, {"into": "directory"}, {}):
        assert refused(root, gate, **how) == "bytes-differ"
    assert verify_refuses(root, gate) == "bytes-differ"


def test_statements_name_the_algorithm_of_weights_and_leave_other_files_to_sha256(
    gate: SampleGate, tmp_path: Path
) -> None:
    root = gate.release(tmp_path, files=FILES).root
    by_name = {file.name: file for file in manifest_of(root, gate).files}
    weights, data = by_name["model.safetensors"], FILES["model.safetensors"]
    assert weights.algorithm == "blake3"
    assert weights.chunks == tuple(
        blake3(data[begin:end]).hexdigest() for begin, end in itertools.pairwise((0, *weights.pieces()))
    )
    assert weights.sha256 == hashlib.sha256(data).hexdigest()
    assert by_name["config.json"].algorithm == by_name["bom.cdx.json"].algorithm == "sha256"
    signed = json.loads(manifest_of(root, gate).canonical())["files"]
    assert [file.get("algorithm") for file in signed] == [None, None, "blake3"]


def signed_wrongly(
    gate: SampleGate,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[StagedFile], StagedFile],
) -> Path:
    """A Release whose gate described its weights otherwise than they are, and signed that."""
    stage = sample_release.stage

    def wrong(place: Path, files: dict[str, bytes], algorithm: str) -> Staged:
        staged = stage(place, files, algorithm)
        changed = [change(file) if file.name == "model.safetensors" else file for file in staged.files]
        return staged.model_copy(update={"files": tuple(changed)})

    with monkeypatch.context() as patched:
        patched.setattr(sample_release, "stage", wrong)
        return gate.release(folder, files=FILES).root


@pytest.mark.parametrize(("made", "named"), [("blake3", "sha256"), ("sha256", "blake3")])
def test_digests_of_one_algorithm_under_the_name_of_the_other_match_nothing(
    made: str, named: str, gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, step = FILES["model.safetensors"], sample_release.CHUNK
    chunks = tuple(hashed(made, data[at : at + step]) for at in range(0, len(data), step))
    root = signed_wrongly(
        gate,
        tmp_path,
        monkeypatch,
        lambda file: file.model_copy(update={"algorithm": named, "chunks": chunks}),
    )
    for how in ({"into": "state_dict"}, {"into": "state_dict", "tensors": "*"}, {"into": "directory"}, {}):
        assert refused(root, gate, **how) == "bytes-differ"
    assert verify_refuses(root, gate) == "bytes-differ"


def test_one_wrong_chunk_is_refused_though_the_sha256_of_the_file_is_right(
    gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def last_wrong(file: StagedFile) -> StagedFile:
        return file.model_copy(update={"chunks": (*file.chunks[:-1], blake3(b"other").hexdigest())})

    root = signed_wrongly(gate, tmp_path, monkeypatch, last_wrong)
    assert refused(root, gate, into="state_dict") == "bytes-differ"
    assert refused(root, gate, into="directory") == "bytes-differ"
    assert verify_refuses(root, gate) == "bytes-differ"


def test_a_wrong_sha256_is_seen_by_verify_though_every_chunk_is_right(
    gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What binds the two: the gate signs both of the same bytes, and ``verify`` holds it to that."""
    other = hashlib.sha256(b"other").hexdigest()
    root = signed_wrongly(gate, tmp_path, monkeypatch, lambda file: file.model_copy(update={"sha256": other}))
    assert verify_refuses(root, gate) == "bytes-differ"
    assert main(["verify", str(root)], gate) == 2
    assert same(load_verified(root, trust=gate.trust, into="state_dict"))  # by the chunks, which are right


def main(arguments: list[str], gate: SampleGate) -> int:
    environment = {"REGISTRY_GATE_HOME": str(gate.settings.home), "PATH": ""}
    command = [sys.executable, "-m", "registry_gate", *arguments]
    return subprocess.run(command, env=environment, capture_output=True).returncode


@pytest.mark.parametrize("name", ["md5", "sha1", "sha512-256", "blake2b", "blake3-128", "sha3-256"])
def test_an_algorithm_that_is_not_on_the_list_is_refused_with_its_code(name: str) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    file = ManifestFile(name="a", size=9, sha256=digest, chunk_size=9, algorithm=name, chunks=(digest,))
    with pytest.raises(VerificationError) as caught:
        check_manifest(Manifest(files=(file,)))
    assert caught.value.code == "unknown-algorithm"
    with pytest.raises(VerificationError) as caught:
        check_chunks(Here(b"x" * 9), file, wanted_chunks(file))
    assert caught.value.code == "unknown-algorithm"
    with pytest.raises(VerificationError) as caught:
        check_bytes(Here(b"x" * 9), file)
    assert caught.value.code == "unknown-algorithm"


@pytest.mark.parametrize(
    "name", ["SHA256", "Blake3", "", " blake3", "blake3 ", "blake3\0", "b" * 33, None, 3]
)
def test_a_name_that_only_looks_like_one_is_no_statement(name: object) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    said = {"name": "a", "size": 9, "sha256": digest, "chunk_size": 9, "algorithm": name, "chunks": [digest]}
    with pytest.raises(ValidationError):
        ManifestFile.from_json(json.dumps(said))


def test_what_a_newer_gate_signs_by_another_algorithm_is_refused_before_a_byte_is_read(
    gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = {**ALGORITHMS, "sha3-256": hashlib.sha3_256}
    with monkeypatch.context() as patched:
        patched.setattr(whole_files, "ALGORITHMS", newer)
        patched.setattr(sample_release, "ALGORITHMS", newer)
        root = replace(gate, algorithm="sha3-256").release(tmp_path, files=FILES).root
        assert same(load_verified(root, trust=gate.trust, into="state_dict"))
    (root / WEIGHTS).unlink()
    for how in ({"into": "state_dict"}, {"into": "state_dict", "tensors": "*"}, {"into": "directory"}, {}):
        assert refused(root, gate, **how) == "unknown-algorithm"
    assert verify_refuses(root, gate) == "unknown-algorithm"


def test_a_single_chunk_by_sha256_must_be_the_digest_of_the_file() -> None:
    one, other = (hashlib.sha256(data).hexdigest() for data in (b"1", b"2"))
    for algorithm, code in (("sha256", "bad-manifest"), ("blake3", None)):
        file = ManifestFile(name="a", size=9, sha256=one, chunk_size=9, algorithm=algorithm, chunks=(other,))
        if code is None:
            assert check_manifest(Manifest(files=(file,)))
            continue
        with pytest.raises(VerificationError) as caught:
            check_manifest(Manifest(files=(file,)))
        assert caught.value.code == code


@pytest.mark.parametrize(
    "digests",
    [
        {},
        {"source_sha256": "a" * 64},
        {"source_sha256": "a" * 64, "staged_blake3": "a" * 64},
        {"source_blake3": "a" * 64, "staged_sha256": "a" * 64},
        dict.fromkeys(("source_sha256", "staged_sha256", "source_blake3", "staged_blake3"), "a" * 64),
        {"source_sha256": "a" * 64, "staged_sha256": "a" * 64, "source_blake3": "a" * 64},
    ],
)
def test_a_proof_of_two_algorithms_proves_nothing(digests: dict[str, str]) -> None:
    counts = dict.fromkeys(("elements", "nan", "inf", "zeros"), 0)
    with pytest.raises(ValidationError):
        TensorMeasurement(name="t", file="f", dtype="F32", shape=(), **counts, **digests)


def hashed(algorithm: str, data: bytes) -> str:
    digest = ALGORITHMS[algorithm]()
    digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Here:
    """Bytes as a ``Reading`` that gives as much as it likes to at a time."""

    data: bytes
    most: int = 1 << 20
    concurrent: bool = True

    def read_into(self, room: memoryview, at: int, run_end: int) -> int:
        block = self.data[at : at + min(len(room), self.most)]
        room[: len(block)] = block
        return len(block)


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.integers(1, 5000), min_size=1, max_size=9),
    algorithm=st.sampled_from(sorted(ALGORITHMS)),
    spans=st.lists(st.tuples(st.integers(0, 20000), st.integers(0, 9000)), max_size=4),
    most=st.integers(1, 3000),
    flip=st.integers(0, 1 << 30),
    concurrent=st.booleans(),
)
def test_however_chunks_lie_what_is_kept_is_what_was_signed(
    pieces: list[int],
    algorithm: str,
    spans: list[tuple[int, int]],
    most: int,
    flip: int,
    concurrent: bool,
) -> None:
    """Any alignment, any way of reading: the spans asked for are there, and a changed byte in them is not."""
    ends = tuple(itertools.accumulate(pieces))
    data = random.Random(flip).randbytes(ends[-1])
    chunks = tuple(hashed(algorithm, data[begin:end]) for begin, end in itertools.pairwise((0, *ends)))
    file = ManifestFile(
        name="a",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        chunk_size=1,
        chunk_ends=ends,
        algorithm=algorithm,
        chunks=chunks,
    )
    asked = [(begin, min(begin + count, len(data))) for begin, count in spans] or None
    wanted = wanted_chunks(file, asked)
    memory = bytearray(len(data))
    check_chunks(Here(data, most, concurrent), file, wanted, out=memoryview(memory))
    for begin, end in asked or [(0, len(data))]:
        assert memory[begin:end] == data[begin:end]
    assert memory == b"".join(
        data[begin:end] if any(chunk.begin == begin for chunk in wanted) else bytes(end - begin)
        for begin, end in itertools.pairwise((0, *ends))
    )
    check_bytes(Here(data, most, concurrent), file)
    changed = bytearray(data)
    place = flip % len(data)
    changed[place] ^= 1 << flip % 8
    tampered = Here(bytes(changed), most, concurrent)
    with pytest.raises(VerificationError):
        check_bytes(tampered, file)
    if any(chunk.begin <= place < chunk.end for chunk in wanted):
        with pytest.raises(VerificationError):
            check_chunks(tampered, file, wanted, out=memoryview(memory))


def test_a_large_file_is_checked_by_two_threads_and_by_one_alike() -> None:
    data = random.Random(1).randbytes((9 << 20) + 7)
    ends = (1, 5 << 20, len(data))
    chunks = tuple(hashed("blake3", data[begin:end]) for begin, end in itertools.pairwise((0, *ends)))
    described = ManifestFile(
        name="a",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        chunk_size=1,
        chunk_ends=ends,
        algorithm="blake3",
        chunks=chunks,
    )
    changed = data[:-1] + bytes([data[-1] ^ 1])
    for threads in (1, 2):
        counted: list[int] = []
        check_bytes(Here(data), described, counted.append, threads=threads)
        assert sum(counted) == len(data)
        for wrong in (changed, data[:-1], data + b"x"):
            with pytest.raises(VerificationError, match="not the file that was signed"):
                check_bytes(Here(wrong), described, threads=threads)
