"""Stages that go round the gate: a tutorial's link in a code base, and a checkpoint loaded by hand."""

from __future__ import annotations

import copy
import http.client
from pathlib import Path
from typing import Any

from registry_gate.drill import cluster, exhibits, processes
from registry_gate.drill.attack import Answer, Attack, answer
from registry_gate.drill.world import World
from registry_gate.enforce.audit.audit import Rulebook, audit
from registry_gate.enforce.audit.standing import read_ledger
from registry_gate.evidence import FileFacts
from registry_gate.report import pickle_tree

_TRAIN = f'''from huggingface_hub import snapshot_download
import torch

folder = snapshot_download("{exhibits.LOOK_ALIKE}")
state = torch.load(f"{{folder}}/pytorch_model.bin", weights_only=False)
'''
_HONEST = f'''from registry_gate import load_verified

model = load_verified("{exhibits.HONEST}")
'''
_CHECKPOINT = "pytorch_model.bin"


def tutorial_link(world: World, attack: Attack) -> None:
    """A colleague's code and manifest, as the tutorial has them: read in CI, run, deployed, let out."""
    _ = world.honest, world.look_alike_published
    listed = cluster.current_list(world)
    manifest = _tutorials_deployment()
    code_base = _code_base(world.folder / "code-base", {"train.py": _TRAIN, "deploy.yaml": _yaml(manifest)})
    before = len(world.hub.requests)
    downloaded = world.folder / "downloaded"
    ended = processes.victim(
        world, "download", exhibits.LOOK_ALIKE, str(downloaded), HF_ENDPOINT=world.hub.url
    )
    attack.prove(
        "without the guard the tutorial's line downloads the look-alike's checkpoint",
        ended.status == 0 and (downloaded / _CHECKPOINT).is_file() and len(world.hub.requests) > before,
    )
    attack.ask("audit", lambda: ask_audit(world, code_base))
    attack.ask("guard", lambda: _guarded_download(world))
    attack.ask("admission-policy", lambda: cluster.ask_policies(manifest, listed))
    attack.ask("egress", lambda: cluster.ask_egress(cluster.OUTSIDE))


def ask_audit(world: World, code_base: Path) -> Answer:
    """The audit of a code base: what is open fails the build."""
    report = audit((code_base,), Rulebook(read_ledger(world.settings), world.policy.protected))
    rules = tuple(dict.fromkeys(finding.rule for finding in report.open))
    meant = next((f"; did you mean {item.did_you_mean}?" for item in report.open if item.did_you_mean), "")
    return answer(rules, f"{len(report.open)} findings in {report.files} files{meant}")


def honest_code_base(world: World) -> Path:
    """The line that the gate's users write."""
    return _code_base(world.folder / "honest-code-base", {"serve.py": _HONEST})


def _guarded_download(world: World) -> Answer:
    before = len(world.hub.requests)
    folder = world.folder / "guarded-download"
    ended = processes.guarded_victim(
        world,
        "download",
        exhibits.LOOK_ALIKE,
        str(folder),
        HF_ENDPOINT=world.hub.url,
        REGISTRY_GATE_GUARD_HUBS="127.0.0.1",
    )
    asked = len(world.hub.requests) - before
    if asked or ended.status == 0:
        return answer((), f"the hub was asked {asked} times, whatever the guard said")
    return answer(ended.refused, "the hub was asked nothing")


def side_load(world: World, attack: Attack) -> None:
    """The checkpoint, fetched by hand, offered to a guarded process, to the client and to the cluster."""
    _ = world.honest
    listed = cluster.current_list(world)
    checkpoint = _fetched_by_hand(world)
    file = next(file for file in (_facts(world)) if file.path == _CHECKPOINT)
    findings = [item for item in world.look_alike.report.findings if item.location.file == _CHECKPOINT]
    attack.tree = pickle_tree.render(file, findings)
    calls = [use for pickle in file.pickles for use in pickle.globals if use.use.startswith("call")]
    attack.prove(
        "read as a program, and never run, the pickle calls "
        + ", ".join(sorted({f"{use.module}.{use.name}" for use in calls})),
        bool(calls),
    )
    alone = processes.victim(world, "open", str(checkpoint))
    attack.prove("without the guard a process opens the checkpoint", alone.status == 0)
    attack.ask("guard", lambda: _guarded_open(world, checkpoint))
    attack.ask("signature", lambda: _client_load(world, checkpoint.parent))
    attack.ask("admission-policy", lambda: cluster.ask_policies(_by_hand(), listed))


def _facts(world: World) -> tuple[FileFacts, ...]:
    facts = world.look_alike.evidence.facts
    return facts.files if facts else ()


def _fetched_by_hand(world: World) -> Path:
    """What ``curl`` would do; the bytes are kept and not looked at."""
    commit = world.look_alike_published
    host, _, port = world.hub.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("GET", f"/{exhibits.LOOK_ALIKE}/resolve/{commit}/{_CHECKPOINT}")
        data = connection.getresponse().read()
    finally:
        connection.close()
    path = world.folder / "by-hand" / _CHECKPOINT
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _guarded_open(world: World, checkpoint: Path) -> Answer:
    ended = processes.guarded_victim(world, "open", str(checkpoint))
    if ended.status == 0:
        return answer((), "the file was opened")
    return answer(ended.refused, "refused at the open: no byte was unpickled")


def _client_load(world: World, folder: Path) -> Answer:
    ended = processes.client(world, "verify", f"{folder}/")
    return answer(
        ended.refused if ended.status == 2 else (), "load_verified and verify ask for signed statements"
    )


def _code_base(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _yaml(manifest: Any) -> str:
    import yaml

    return yaml.safe_dump(manifest, sort_keys=False)


def _tutorials_deployment() -> Any:
    """What a tutorial gives to paste: any image, and the download at the start of the server."""
    command = ["sh", "-c", f"hf download {exhibits.LOOK_ALIKE} --local-dir /m && python serve.py /m"]
    container = {"name": "server", "image": "python:3.12", "command": command}
    template = {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": "demo"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "demo"}, "spec": spec}


def _by_hand() -> Any:
    """The shipped Deployment without its puller, over a folder of the node that somebody filled by hand."""
    manifest = copy.deepcopy(cluster.serving_deployment("by--hand@sha256:" + "0" * 64))
    pod = manifest["spec"]["template"]
    del pod["metadata"]["annotations"]
    del pod["spec"]["initContainers"]
    pod["spec"]["volumes"] = [
        {"name": "model", "hostPath": {"path": "/srv/models"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return manifest
