"""Calls that open a file which can run code, or fetch an address, or a data set."""

from __future__ import annotations

import ast
from urllib.parse import urlsplit

from registry_gate.enforce.audit import python_known as known
from registry_gate.enforce.audit.hubs import (
    MODEL_SUFFIXES,
    Says,
    hub_address,
    is_dataset_address,
    is_file_address,
    read_name,
)
from registry_gate.enforce.audit.model_loads import Argument
from registry_gate.enforce.audit.python_call import Call
from registry_gate.enforce.audit.python_scope import Scope
from registry_gate.enforce.audit.python_value import Kind, Values
from registry_gate.enforce.audit.python_values import Evaluator
from registry_gate.enforce.audit.sighting import NOTHING, Seen
from registry_gate.enforce.guard.hosts import is_hub_host
from registry_gate.finding import Severity

_MODEL_PACKAGES = (
    "torch",
    "joblib",
    "keras",
    "tensorflow",
    "tf_keras",
    "fastai",
    "lightning",
    "pytorch_lightning",
)


def judge_file(call: Call, values: Values) -> Seen:
    """A file of a format that can run code is opened: how sure is it that it is a model's?"""
    looking, asked, node, scope = call.looking, call.asked, call.node, call.scope
    dotted = asked.subject
    options = {item.arg: looking.values(item.value, scope) for item in node.keywords if item.arg}
    package = dotted.partition(".")[0]
    if package == "numpy":
        allowed = any(value.text == "True" for value in options.get("allow_pickle", ()))
        return Seen((asked.sighting("unverified-pickle", "allow_pickle=True"),)) if allowed else NOTHING
    if _made_here(looking, node, scope, values):
        return NOTHING
    if dotted.startswith("torch.") and any(value.text == "True" for value in options.get("weights_only", ())):
        return Seen((asked.sighting("unverified-weights", "weights_only=True"),))
    if dotted.endswith("Unpickler") or (package == "shelve"):
        return (
            Seen((asked.sighting("unverified-pickle"),))
            if _model_like(node, scope, values)
            else _doubtful(asked)
        )
    if package in _MODEL_PACKAGES or _model_like(node, scope, values):
        shown = next((value.text for value in values if value.kind in (Kind.TEXT, Kind.LOCAL)), "")
        return Seen((asked.sighting("unverified-pickle", shown[:200]),))
    return _doubtful(asked)


def _doubtful(asked: Argument) -> Seen:
    return Seen((asked.sighting("unverified-pickle", "data, by its name", severity=Severity.LOW),))


def _made_here(looking: Evaluator, node: ast.Call, scope: Scope, values: Values) -> bool:
    """``loads(dumps(x))``: a copy of what the program holds already."""
    return (
        bool(values)
        and all(
            value.kind is Kind.RESULT and value.text.endswith((".dumps", ".getvalue", ".getbuffer"))
            for value in values
        )
    ) or any(_wraps_dumps(looking, item, scope) for item in node.args[:1])


def _wraps_dumps(looking: Evaluator, node: ast.expr, scope: Scope) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name == "dumps" or (
        name == "BytesIO" and any(_wraps_dumps(looking, item, scope) for item in node.args)
    )


def _model_like(node: ast.Call, scope: Scope, values: Values) -> bool:
    """Names decide: data that is named as such is a doubt, all else is taken for a model."""
    words = " ".join((ast.unparse(node), scope.label, *(value.text for value in values))).lower()
    if any(word in words for word in known.MODEL_WORDS):
        return True
    return not any(word in words for word in known.DATA_WORDS)


def judge_address(call: Call, values: Values) -> Seen:
    """An address is fetched: a hub's, or one of a model's file anywhere."""
    loader, asked = call.loader, call.asked
    for value in values:
        if value.kind not in (Kind.TEXT, Kind.LOCAL):
            continue
        text = value.text
        named = hub_address(text)
        if named is not None and (named.model or is_file_address(text) or loader.default):
            severity = Severity.LOW if is_dataset_address(text) else None
            return Seen((asked.sighting(loader.rule, text[:200], named.model, severity),))
        if named is not None and text.split("?")[0].lower().endswith(MODEL_SUFFIXES):
            return Seen((asked.sighting(loader.rule, text[:200]),))
        if _foreign_model(text):
            return Seen((asked.sighting("hub-download", text[:200], severity=Severity.MEDIUM),))
    if loader.default and values and asked.subject.startswith("tensorflow_hub"):
        local = all(value.kind is Kind.LOCAL or read_name(value.text).says is Says.LOCAL for value in values)
        return Seen((asked.sighting("unverified-weights" if local else "hub-load"),))
    if asked.subject.endswith(("load_state_dict_from_url", "download_url_to_file")):
        return Seen((asked.sighting("hub-download"),))
    return NOTHING


def _foreign_model(text: str) -> bool:
    """The address of a model's file on a host that is neither this machine nor a hub."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https", "ftp", "s3", "gs") or host in ("localhost", "127.0.0.1"):
        return False
    return is_hub_host(host) or parts.path.lower().endswith(MODEL_SUFFIXES)


def judge_dataset(call: Call, values: Values) -> Seen:
    """A data set: only one that brings a script runs code."""
    for value in values:
        if value.kind in (Kind.TEXT, Kind.LOCAL) and value.text.endswith(".py"):
            return Seen(
                (call.asked.sighting("remote-code", "a data set's loading script", severity=Severity.HIGH),)
            )
    return NOTHING
