"""Archives and compressed files around a hostile pickle, and files that two readers read apart."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping

from registry_gate.testing.hostile import ZipEntry, safetensors_bytes, torch_zip, zip_bytes
from registry_gate.testing.hostile_pickles import global_reduce, pickle_that_would_run, short_text

Files = dict[str, bytes]
_HONEST = b"\x80\x02}."
_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}
MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
_VERSION = b"\x80\x02M\xe9\x03."
_FACTS = b"\x80\x02}."


def legacy_bytes(document: bytes = _HONEST, keys: bytes = b"\x80\x02].", tail: bytes = b"") -> bytes:
    """A torch legacy file around an object's pickle, its list of storage keys and its storages."""
    return MAGIC + _VERSION + _FACTS + document + keys + tail


def tar_bytes(members: Mapping[str, bytes]) -> bytes:
    """A tar archive of regular members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def legacy(command: str) -> Files:
    """Torch legacy files: a program in each pickle, storages out of order."""
    evil = pickle_that_would_run(command)
    by_call = b"\x80\x02cbuiltins\nint\n" + short_text("119547037146038801333356") + b"\x85R."
    count = struct.pack("<q", 2)
    key = b"\x80\x02]" + short_text("7") + b"a."
    return {
        "magic-by-call/pytorch_model.bin": by_call + _VERSION + _FACTS + _HONEST + b"\x80\x02].",
        "magic-by-exec/pytorch_model.bin": global_reduce("builtins", "eval", command) + _VERSION,
        "in-version/pytorch_model.bin": MAGIC + evil + _FACTS + _HONEST + b"\x80\x02].",
        "in-facts/pytorch_model.bin": MAGIC + _VERSION + evil + _HONEST + b"\x80\x02].",
        "in-object/pytorch_model.bin": legacy_bytes(evil),
        "in-keys/pytorch_model.bin": legacy_bytes(keys=evil),
        "behind/pytorch_model.bin": legacy_bytes(tail=evil),
        "unnamed-storage/pytorch_model.bin": legacy_bytes(keys=key, tail=count + bytes(8)),
        "cut/pytorch_model.bin": (MAGIC + _VERSION)[:-1],
        "broken-after-call/model.pt": legacy_bytes(evil[:-1] + b"\xff"),
        "other-version/model.pt": MAGIC + b"\x80\x02K\x07." + _FACTS + evil + b"\x80\x02].",
        "huge-count/model.pt": legacy_bytes(keys=key, tail=struct.pack("<q", 2**62)),
    }


def zips(command: str) -> Files:
    """Zip tricks: headers that disagree, hidden members, hidden bytes."""
    evil, pkl, version = (
        pickle_that_would_run(command),
        "archive/data.pkl",
        ZipEntry("archive/version", b"3\n"),
    )

    def bad(**lie: object) -> bytes:
        return zip_bytes([ZipEntry(pkl, evil, **lie), version])  # type: ignore[arg-type]

    honest = torch_zip(_HONEST)
    files = {
        "local-name": bad(local_name="archive/data.txt"),
        **{f"flag-{bit:04x}": bad(flags=bit) for bit in (0x0001, 0x0020, 0x0040, 0x2000)},
        "crc": bad(crc=7),
        "deflated": bad(method=8),
        "method-99": bad(method=99),
        "method-14": bad(method=14),
        "twice": zip_bytes([ZipEntry(pkl, _HONEST), ZipEntry(pkl, evil), version]),
        "twice-by-case": zip_bytes([ZipEntry(pkl, _HONEST), ZipEntry("archive/DATA.pkl", evil), version]),
        "overlap": zip_bytes(
            [ZipEntry(pkl, evil), ZipEntry("archive/data/0", evil, local_name=pkl, same_place=True)]
        ),
        "prefix": zip_bytes([ZipEntry(pkl, _HONEST), version], prefix=evil),
        "gap": zip_bytes([ZipEntry(pkl, _HONEST), version], gap=evil),
        "suffix": zip_bytes([ZipEntry(pkl, _HONEST), version], suffix=evil),
        "two-archives": honest + torch_zip(evil),
        "two-roots": zip_bytes([ZipEntry(pkl, _HONEST), ZipEntry("other/data.pkl", evil)]),
        "unlisted": torch_zip(_HONEST, {"config.p": evil}),
        "no-extension": torch_zip(_HONEST, {"weights": evil}),
        "in-data": torch_zip(_HONEST, {"extra.bin": evil, "x.dat": evil}),
        "parent": zip_bytes([ZipEntry("../data.pkl", evil), version]),
        "no-directory": honest[: honest.rfind(b"PK\x05\x06")],
        "directory-cut": honest[: honest.rfind(b"PK\x01\x02")] + honest[honest.rfind(b"PK\x05\x06") :],
        "count-lie": honest[:-14] + b"\x01\x00\x01\x00" + honest[-10:],
        "name-nul": zip_bytes([ZipEntry(pkl + "\0.txt", evil), version]),
    }
    return {f"{name}/pytorch_model.bin": content for name, content in files.items()}


def nested(command: str) -> Files:
    """Archives in archives, and pickles in literals."""
    evil = pickle_that_would_run(command)
    inner = torch_zip(evil)
    deep = inner
    for _ in range(8):
        deep = zip_bytes([ZipEntry("a.zip", deep)])
    return {
        "zip-in-zip/model.zip": zip_bytes([ZipEntry("a.zip", inner)]),
        "deflated-pickle/model.zip": zip_bytes([ZipEntry("a.dat", evil, method=8)]),
        "tar-in-zip/model.pt": zip_bytes([ZipEntry("a.tar", tar_bytes({"x.pkl": evil}))]),
        "gzip-in-torch/pytorch_model.bin": torch_zip(_HONEST, {"extra.gz": gzip.compress(evil, mtime=0)}),
        "zip-in-torch/pytorch_model.bin": torch_zip(_HONEST, {"inner.pt": inner}),
        "zip-in-gzip/model.pt.gz": gzip.compress(inner, mtime=0),
        "matryoshka/model.zip": deep,
        "literal/model.pkl": b"\x80\x03}" + short_text("d") + b"C" + bytes([len(evil)]) + evil + b"s.",
        "zlib-literal/pytorch_model.bin": torch_zip(
            b"\x80\x03czlib\ndecompress\nC"
            + bytes([len(zlib.compress(evil))])
            + zlib.compress(evil)
            + b"\x85R."
        ),
    }


def tars(command: str) -> Files:
    """Tar checkpoints of torch and NeMo, links and names that lead outside."""
    evil = pickle_that_would_run(command)
    count = b"\x80\x02K\x00."
    link = tarfile.TarInfo("pickle")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    parts = {"sys_info": _FACTS, "storages": count, "tensors": count}
    return {
        "torch/pytorch_model.bin": tar_bytes({**parts, "pickle": evil}),
        "torch-storages/model.pt": tar_bytes({**parts, "storages": evil, "pickle": _HONEST}),
        "torch-tensors/model.pth": tar_bytes({**parts, "tensors": evil, "pickle": _HONEST}),
        "nemo/model.nemo": tar_bytes({"model_config.yaml": b"a: 1\n", "model_weights.ckpt": torch_zip(evil)}),
        "twice/model.tar": tar_bytes({"a.pkl": _HONEST, "./a.pkl": evil}),
        "outside/model.tar": tar_bytes({"../../a.pkl": evil}),
        "link/model.tar": link.tobuf(tarfile.USTAR_FORMAT) + bytes(1024),
        "cut/model.tar": tar_bytes({"a.pkl": evil})[:600],
        "gz/model.tar.gz": gzip.compress(tar_bytes({"a.pkl": evil}), mtime=0),
    }


def packed(command: str) -> Files:
    """Joblib's compressed forms, broken and endless streams."""
    evil, zeros = pickle_that_would_run(command), bytes(80 * 1024 * 1024)
    files: Files = {}
    for name, pack in _PACKERS.items():
        files[f"{name}/model.joblib"] = pack(evil)
        files[f"{name}-cut/model.pkl"] = pack(evil * 50)[:-3]
    files["gzip-bin/pytorch_model.bin"] = gzip.compress(evil, mtime=0)
    files["gzip-tail/model.joblib"] = gzip.compress(_HONEST, mtime=0) + evil
    files["gzip-bomb/model.joblib"] = gzip.compress(zeros, 9, mtime=0)
    files["bz2-bomb/model.joblib"] = bz2.compress(zeros)
    files["zip-bomb/model.zip"] = zip_bytes([ZipEntry("a.pkl", zeros, method=8)])
    files["joblib-raw/model.joblib"] = b"\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81." + evil
    return files


def closed(command: str) -> Files:
    """Archives that nobody looks into, under names that loaders take."""
    evil = pickle_that_would_run(command)
    heads = {
        "7z": b"7z\xbc\xaf\x27\x1c\x00\x04",
        "rar": b"Rar!\x1a\x07\x01\x00",
        "zstd": b"\x28\xb5\x2f\xfd\x20" + bytes([len(evil)]),
        "lz4": b"\x04\x22\x4d\x18\x64\x40\xa7",
    }
    names = ("pytorch_model.bin", "model.pkl", "model.pt")
    return {f"{kind}-{name}/{name}": head + evil for kind, head in heads.items() for name in names}


def polyglots(command: str) -> Files:
    """One file that two readers take for two things."""
    evil = pickle_that_would_run(command)
    archive = torch_zip(evil)
    size = len(archive)
    header = {"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    over_tar = bytearray(tar_bytes({"pickle": evil}))
    over_tar[:15] = MAGIC
    over_tar[148:156] = b" " * 8
    over_tar[148:156] = b"%06o\0 " % sum(over_tar[:512])
    return {
        "safetensors-zip/model.safetensors": safetensors_bytes(header, archive),
        "safetensors-zip-comment/model.safetensors": safetensors_bytes(
            {"a": {"dtype": "U8", "shape": [size + 4], "data_offsets": [0, size + 4]}},
            archive[:-2] + b"\x04\x00none",
        ),
        "legacy-tar/pytorch_model.bin": bytes(over_tar),
        "pickle-zip/model.pkl": _HONEST + archive,
        "legacy-zip/pytorch_model.bin": legacy_bytes() + archive,
        "gif-zip/logo.gif": b"GIF89a" + bytes(40) + archive,
        "png-zip/logo.png": b"\x89PNG\r\n\x1a\n" + bytes(40) + archive,
        "text-zip/README.md": b"# A model\n" + archive,
        "numpy-zip/a.npy": b"\x93NUMPY\x01\x00" + archive,
        "gif-pickle/logo.gif": b"GIF89a" + bytes(3) + evil[2:],
        "gguf-zip/model.gguf": b"GGUF\x03\x00\x00\x00" + bytes(40) + archive,
    }
