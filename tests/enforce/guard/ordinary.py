"""Ordinary programs: what a data scientist's code does all day. Each is a function of the working folder."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Item:
    name: str
    size: int

    def grown(self) -> Item:
        return Item(self.name, self.size + 1)


def grow(item: Item) -> Item:
    return item.grown()


def prepare(folder: Path) -> None:
    """An admitted model, and a home folder whose trust file pins the key that signed it."""
    import torch
    from safetensors.torch import save

    from registry_gate.testing.sample_release import sample_gate

    gate = sample_gate(folder / "home")
    config = b'{"architectures": ["BertModel"], "model_type": "bert"}'
    gate.release(
        folder / "made", files={"config.json": config, "model.safetensors": save({"w": torch.ones(2)})}
    )
    os.environ["REGISTRY_GATE_HOME"] = str(folder / "home")


def numpy_save_and_load(folder):
    import numpy as np

    np.save(folder / "a.npy", np.arange(4))
    np.savez(folder / "b.npz", x=np.ones(2))
    assert np.load(folder / "a.npy").sum() == 6
    assert np.load(folder / "b.npz")["x"].sum() == 2


def numpy_strings_as_objects(folder):
    import numpy as np

    np.save(folder / "c.npy", np.array(["a", None], dtype=object), allow_pickle=True)
    assert np.load(folder / "c.npy", allow_pickle=True)[0] == "a"


def pool_by_fork(folder):
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(grow, [Item("a", 1), Item("b", 2)])[1] == Item("b", 3)


def pool_by_spawn(folder):
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(grow, [Item("a", 1)]) == [Item("a", 2)]


def process_pool_executor(folder):
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1) as pool:
        assert pool.submit(grow, Item("a", 1)).result() == Item("a", 2)


def queue_between_processes(folder):
    import multiprocessing

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=queue.put, args=(Item("a", 1),))
    process.start()
    assert queue.get(timeout=30) == Item("a", 1)
    process.join()


def joblib_parallel(folder):
    import joblib

    assert joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(i, 2) for i in range(3)) == [0, 1, 4]


def threads_and_logging(folder):
    import logging
    import logging.handlers
    import queue
    import threading

    records: queue.Queue[logging.LogRecord] = queue.Queue()
    logger = logging.getLogger("ordinary")
    logger.addHandler(logging.handlers.QueueHandler(records))
    logger.addHandler(logging.FileHandler(folder / "log.txt"))
    thread = threading.Thread(target=logger.warning, args=("from huggingface.co",))
    thread.start()
    thread.join()
    assert records.get_nowait().getMessage() == "from huggingface.co"


def copies(folder):
    import copy
    import pickle

    value = {"a": [1, 2.5, "x", None, (True, b"y")], "b": {1, 2}}
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(Item("a", 1)) == Item("a", 1)


def torch_checkpoint_of_its_own(folder):
    import torch

    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.save({"model": layer.state_dict(), "optimizer": optimizer.state_dict()}, folder / "mine.pt")
    layer.load_state_dict(torch.load(folder / "mine.pt")["model"])
    assert "optimizer" in torch.load(folder / "mine.pt", weights_only=False)


def torch_data_loader_workers(folder):
    import torch

    data = torch.utils.data.TensorDataset(torch.arange(8.0))
    loader = torch.utils.data.DataLoader(data, batch_size=2, num_workers=2)
    assert sum(float(batch[0].sum()) for batch in loader) == 28


def safetensors_of_its_own(folder):
    import torch
    from safetensors.torch import load_file, save_file

    save_file({"w": torch.ones(2)}, folder / "mine.safetensors")
    assert load_file(folder / "mine.safetensors")["w"].sum() == 2


def transformers_model_of_its_own(folder):
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    BertModel(config).save_pretrained(folder / "own")
    assert BertModel.from_pretrained(folder / "own").config.hidden_size == 8


def admitted_model(folder):
    from registry_gate import load_verified

    release = folder / "made" / "release"
    assert load_verified(release, into="state_dict")["w"].sum() == 2
    path = load_verified(release, into="directory")
    for file in path.iterdir():
        assert file.stat().st_ctime > 0
        with file.open("rb") as opened:
            assert opened.read(8)


def http_on_loopback(folder):
    import threading
    import urllib.request
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/huggingface.co") as answer:
            assert answer.read() == b"ok"
        server.shutdown()


def asyncio_streams(folder):
    import asyncio

    async def talk() -> bytes:
        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        line = await reader.readline()
        writer.close()
        server.close()
        return line

    assert asyncio.run(talk()) == b"hello\n"


def other_programs(folder):
    import subprocess

    assert b"git" in subprocess.run(["git", "--version"], capture_output=True, check=True).stdout
    code = "print(sum(range(4)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"6\n"
    assert os.system("curl --version > /dev/null") in (0, 32512)


def pandas_tables(folder):
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_csv(folder / "a.csv")
    frame.to_parquet(folder / "a.parquet")
    assert pd.read_csv(folder / "a.csv")["a"].sum() == pd.read_parquet(folder / "a.parquet")["a"].sum() == 3


def plots(folder):
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.plot([1, 2])
    plt.savefig(folder / "a.png")
    assert (folder / "a.png").stat().st_size > 100


def archives(folder):
    import gzip
    import tarfile
    import zipfile

    (folder / "a.txt").write_text("x")
    with zipfile.ZipFile(folder / "a.zip", "w") as made:
        made.write(folder / "a.txt", "a.txt")
    with tarfile.open(folder / "a.tar.gz", "w:gz") as tar:
        tar.add(folder / "a.txt", "a.txt")
    with gzip.open(folder / "a.gz", "wb") as packed:
        packed.write(b"x")


def databases_and_templates(folder):
    import sqlite3

    import jinja2

    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("create table t (x)")
    connection.close()
    assert jinja2.Template("{{ x }}").render(x=1) == "1"


def code_of_its_own(folder):
    import importlib.util

    (folder / "plugin.py").write_text("def hubconf(): return 1\n")
    spec = importlib.util.spec_from_file_location("plugin", folder / "plugin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.hubconf() == 1
    exec(compile("y = 1", "<own>", "exec"), {})


def a_test_run(folder):
    import subprocess

    (folder / "test_own.py").write_text("def test_it():\n    assert 1 + 1 == 2\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--registry-gate-guard",
        "test_own.py",
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


PROGRAMS = (
    numpy_save_and_load, numpy_strings_as_objects, pool_by_fork, pool_by_spawn, process_pool_executor,
    queue_between_processes, joblib_parallel, threads_and_logging, copies, torch_checkpoint_of_its_own,
    torch_data_loader_workers, safetensors_of_its_own, transformers_model_of_its_own, admitted_model,
    http_on_loopback, asyncio_streams, other_programs, pandas_tables, plots, archives,
    databases_and_templates, code_of_its_own, a_test_run,
)  # fmt: skip
