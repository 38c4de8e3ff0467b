"""Ways of loading round the road, each a function of the working folder; run under the guard by ``drive.py``.

Payloads would make a marker file and nothing else. ``prepare`` runs before the guard is there, and makes
files that look as if somebody had put them there long ago.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

LONG_AGO = 1_600_000_000
SYSTEM = b"cposix\nsystem\n(S'touch marker'\ntR."


class Payload:
    def __reduce__(self):
        return os.system, ("touch marker",)


def prepare(folder: Path) -> None:
    import joblib
    import numpy as np
    import torch

    torch.save({"w": torch.ones(2)}, folder / "weights.pt")
    torch.save(Payload(), folder / "payload.pt")
    (folder / "disguised.txt").write_bytes((folder / "weights.pt").read_bytes())
    (folder / "link").symlink_to(folder / "weights.pt")
    joblib.dump({"a": Payload()}, folder / "clf.joblib")
    np.save(folder / "table.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    (folder / "frame.pkl").write_bytes(pickle.dumps(Payload()))
    (folder / "local-model").mkdir()
    (folder / "local-model" / "config.json").write_text('{"model_type": "bert"}')
    hub = folder / "hub-repo"
    hub.mkdir()
    (hub / "hubconf.py").write_text("import os\nos.system('touch marker')\ndef net(): return 1\n")
    impostor = folder / "multiprocessing"
    impostor.mkdir()
    (impostor / "impostor.py").write_text("import pickle\ndef load(data): return pickle.loads(data)\n")
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def pickle_system(folder):
    pickle.loads(SYSTEM)


def pickle_eval(folder):
    pickle.loads(b"cbuiltins\neval\n(S'1'\ntR.")


def pickle_python_unpickler(folder):
    with (folder / "frame.pkl").open("rb") as file:
        pickle._Unpickler(file).load()


def pickle_from_a_folder_called_multiprocessing(folder):
    sys.path.insert(0, str(folder / "multiprocessing"))
    import impostor

    impostor.load(SYSTEM)


def dataclass_of_the_program(folder):
    class Own:
        pass

    Own.__qualname__ = "Own"
    globals()["Own"] = Own
    pickle.loads(pickle.dumps(Own()))


def cloudpickle_loads(folder):
    import cloudpickle

    cloudpickle.loads(cloudpickle.dumps(Payload))


def shelve_open(folder):
    import shelve

    with shelve.open(str(folder / "shelf")) as shelf:
        shelf["a"] = Payload()
        shelf["a"]


def joblib_load(folder):
    import joblib

    joblib.load(folder / "clf.joblib")


def numpy_allow_pickle(folder):
    import numpy as np

    np.load(folder / "table.npy", allow_pickle=True)


def pandas_read_pickle(folder):
    import pandas as pd

    pd.read_pickle(folder / "frame.pkl")


def torch_load(folder):
    import torch

    torch.load(folder / "weights.pt")


def torch_load_disguised(folder):
    import torch

    torch.load(folder / "disguised.txt")


def torch_load_through_a_link(folder):
    import torch

    torch.load(folder / "link")


def torch_load_renamed(folder):
    import torch

    (folder / "weights.pt").rename(folder / "mine.pt")
    try:
        torch.load(folder / "mine.pt")
    finally:
        (folder / "mine.pt").rename(folder / "weights.pt")


def torch_load_copied(folder):
    import shutil

    shutil.copy(folder / "weights.pt", folder / "copy.pt")


def torch_load_from_memory(folder):
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(Payload(), buffer)
    buffer.seek(0)
    torch.load(buffer, weights_only=False)


def torch_hub_local(folder):
    import torch

    torch.hub.load(str(folder / "hub-repo"), "net", source="local")


def torch_hub_url(folder):
    from torch.hub import load_state_dict_from_url

    load_state_dict_from_url("https://download.pytorch.org/models/x.pth", model_dir=str(folder))


def transformers_from_the_hub(folder):
    from transformers import AutoConfig

    AutoConfig.from_pretrained("acme-labs/tiny", cache_dir=str(folder / "cache"))


def transformers_from_a_folder(folder):
    from transformers import AutoConfig

    AutoConfig.from_pretrained(str(folder / "local-model"))


def transformers_remote_code(folder):
    from transformers import AutoConfig

    custom = folder / "custom"
    custom.mkdir(exist_ok=True)
    (custom / "config.json").write_text('{"model_type": "odd", "auto_map": {"AutoConfig": "odd.OddConfig"}}')
    (custom / "odd.py").write_text(
        "import os\nos.system('touch marker')\nfrom transformers import PretrainedConfig\n"
        "class OddConfig(PretrainedConfig): model_type = 'odd'\n"
    )
    AutoConfig.from_pretrained(str(custom), trust_remote_code=True)


def snapshot_download(folder):
    from huggingface_hub import snapshot_download as fetch

    fetch("acme-labs/tiny", cache_dir=str(folder / "cache"))


def hf_hub_download(folder):
    from huggingface_hub import hf_hub_download as fetch

    fetch("acme-labs/tiny", "config.json", cache_dir=str(folder / "cache"))


def urlopen(folder):
    import urllib.request

    urllib.request.urlopen("https://huggingface.co/acme-labs/tiny/resolve/main/model.bin", timeout=2)


def requests_get(folder):
    import requests

    requests.get("https://cdn-lfs.hf.co/x", timeout=2)


def raw_socket(folder):
    import socket

    socket.create_connection(("huggingface.co", 443), timeout=2)


def cached_address(folder):
    import socket

    with socket.socket() as one:
        one.settimeout(1)
        one.connect(("198.51.100.7", 443))  # the driver's terms list it, as resolve_hubs() would


def through_a_proxy(folder):
    import http.client
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=server.accept, daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", server.getsockname()[1], timeout=2)
        connection.request("GET", "http://x/", headers={"Host": "huggingface.co"})


def git_clone(folder):
    import subprocess

    subprocess.run(["git", "clone", "https://huggingface.co/acme-labs/tiny"], cwd=folder, check=False)


def command_line_tool(folder):
    os.system("huggingface-cli download acme-labs/tiny")


def asyncio_process(folder):
    import asyncio

    asyncio.run(asyncio.create_subprocess_shell("curl -s https://hf.co/acme-labs/tiny/resolve/main/x"))


EXPECTED = {
    "guard-pickle": (
        pickle_system, pickle_eval, pickle_python_unpickler, pickle_from_a_folder_called_multiprocessing,
        dataclass_of_the_program, cloudpickle_loads, shelve_open, numpy_allow_pickle, pandas_read_pickle,
        torch_load_from_memory,
    ),
    "guard-unverified-file": (
        joblib_load, torch_load, torch_load_disguised, torch_load_through_a_link, torch_load_renamed,
        torch_load_copied, transformers_from_a_folder,
    ),
    "guard-remote-code": (torch_hub_local, transformers_remote_code),
    "guard-download": (
        torch_hub_url, transformers_from_the_hub, snapshot_download, hf_hub_download, urlopen, requests_get,
        raw_socket, cached_address, through_a_proxy,
    ),
    "guard-command": (git_clone, command_line_tool, asyncio_process),
}  # fmt: skip
