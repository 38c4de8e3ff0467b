"""A strict renderer of the little kustomize that deploy/kubernetes uses; whatever else it meets, it refuses.

Where a machine has kubectl, a test holds this to `kubectl kustomize`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.policy_engines import load, load_all

_FIELDS = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "patches"}
_CLUSTER_WIDE = {
    "Namespace",
    "RuntimeClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ClusterPolicy",
}


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization, in the order of its resources."""
    said = load(folder / "kustomization.yaml")
    assert set(said) <= _FIELDS, f"{folder}: {set(said) - _FIELDS}"
    objects = [item for name in said["resources"] for item in _resource(folder / name)]
    for patch in said.get("patches", []):
        _apply(patch, folder, objects)
    for item in objects:
        if "namespace" in said and item["kind"] not in _CLUSTER_WIDE:
            item["metadata"]["namespace"] = said["namespace"]
        for labels in said.get("labels", []):
            assert set(labels) == {"pairs"}
            item["metadata"].setdefault("labels", {}).update(labels["pairs"])
        for image in said.get("images", []):
            _set_image(item, image)
    return objects


def _resource(path: Path) -> list[dict[str, Any]]:
    return render(path) if path.is_dir() else load_all(path)


def _apply(patch: dict[str, Any], folder: Path, objects: list[dict[str, Any]]) -> None:
    if set(patch) == {"path"}:
        change = load(folder / patch["path"])
        (target,) = [item for item in objects if _id(item) == _id(change)]
        _merge(target, change)
        return
    assert set(patch) == {"target", "patch"}
    wanted = patch["target"]
    (target,) = [
        item
        for item in objects
        if (item["kind"], item["metadata"]["name"]) == (wanted["kind"], wanted["name"])
    ]
    for step in yaml.safe_load(patch["patch"]):
        assert step["op"] == "add"
        *above, last = step["path"].strip("/").split("/")
        place: Any = target
        for key in above:
            place = place[key]
        place[last] = step["value"]


def _id(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["apiVersion"], item["kind"], item["metadata"]["name"]


def _merge(target: dict[str, Any], change: dict[str, Any]) -> None:
    """A strategic merge: objects by key, lists of named things by name, other lists replaced."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value):
            for item in value:
                (same,) = [old for old in target[key] if old["name"] == item["name"]]
                _merge(same, item)
        else:
            target[key] = copy.deepcopy(value)


def _set_image(value: Any, image: dict[str, str]) -> None:
    assert set(image) == {"name", "newName", "digest"}
    if isinstance(value, list):
        for item in value:
            _set_image(item, image)
    elif isinstance(value, dict):
        said = value.get("image")
        if isinstance(said, str) and said.partition("@")[0] == image["name"]:
            value["image"] = f"{image['newName']}@{image['digest']}"
        for item in value.values():
            _set_image(item, image)
