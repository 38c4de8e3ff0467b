"""Each call of a module, judged: does it load a model, fetch one, run code that came with one?"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from registry_gate.enforce.audit import python_known as known
from registry_gate.enforce.audit.hubs import Named, Says, hub_address, read_name
from registry_gate.enforce.audit.loaders import FAMILY_METHODS, Loader, Takes, find_loader
from registry_gate.enforce.audit.model_loads import Argument, judge_model
from registry_gate.enforce.audit.python_call import Call, argument
from registry_gate.enforce.audit.python_files import judge_address, judge_dataset, judge_file
from registry_gate.enforce.audit.python_flags import pretrained_asked, revision_of, switches
from registry_gate.enforce.audit.python_scope import Scope
from registry_gate.enforce.audit.python_value import HOLE, Kind, Value, Values
from registry_gate.enforce.audit.python_values import Evaluator
from registry_gate.enforce.audit.settings_words import judge_environment
from registry_gate.enforce.audit.shell import judge_words, read_shell
from registry_gate.enforce.audit.sighting import NOTHING, RoadUse, Seen, Sighting

_STRANGERS_METHODS = frozenset(FAMILY_METHODS) | {
    "snapshot_download",
    "hf_hub_download",
    "load_state_dict_from_url",
}
_SETTING = frozenset(
    {"os.environ.setdefault", "os.putenv", "os.environ.update", "builtins.monkeypatch.setenv"}
)


def judge_call(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    """All that one call shows."""
    seen = switches(looking, node, scope)
    callees = looking.values(node.func, scope)
    for callee in dict.fromkeys((item.kind, item.text, id(item.node)) for item in callees):
        value = next(item for item in callees if (item.kind, item.text, id(item.node)) == callee)
        found = _judge_callee(looking, value, node, scope)
        seen += found
        if found.sightings:
            break
    seen += _handed_over(looking, node, scope)
    return seen + _hub_texts(looking, node, scope) if not seen.sightings else seen


def _judge_callee(looking: Evaluator, callee: Value, node: ast.Call, scope: Scope) -> Seen:
    if callee.kind is Kind.REF:
        return _judge_reference(looking, callee.text, node, scope)
    if callee.kind is Kind.PARTIAL:
        return _judge_partial(looking, callee, node, scope)
    if callee.kind in (Kind.UNKNOWN, Kind.RESULT):
        return _judge_stranger(looking, node, scope)
    return NOTHING


def _judge_reference(looking: Evaluator, dotted: str, node: ast.Call, scope: Scope) -> Seen:
    for names, judge in _BY_NAME:
        if dotted in names:
            return judge(looking, node, scope)
    loader = find_loader(dotted)
    if loader is not None:
        return judge_loader(looking, loader, dotted, node, scope)
    if dotted.rpartition(".")[2] in _STRANGERS_METHODS:
        return _judge_foreign(looking, dotted, node, scope)
    return _judge_method_command(looking, node, scope)


def _judge_verifying(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    texts = looking.texts(argument(node, 0, ("ref",)), scope)
    return Seen(on_road=(RoadUse(node.lineno, "load_verified", texts[0] if texts else None),))


def _judge_partial(looking: Evaluator, callee: Value, node: ast.Call, scope: Scope) -> Seen:
    """``partial(load, ...)(...)``: judged as one call with the arguments of both."""
    loader = find_loader(callee.text)
    inner = callee.node
    if loader is None or not isinstance(inner, ast.Call):
        return NOTHING
    whole = ast.Call(
        func=node.func, args=[*inner.args[1:], *node.args], keywords=[*inner.keywords, *node.keywords]
    )
    return judge_loader(looking, loader, callee.text, ast.copy_location(whole, node), scope)


def _judge_stranger(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    """A method of something that could not be told: known by its name alone."""
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if method in _STRANGERS_METHODS:
        loader = find_loader(f"huggingface_hub.{method}") or Loader("hub-load", Takes.MODEL)
        return judge_loader(looking, loader, method, node, scope)
    return _judge_method_command(looking, node, scope)


def _judge_foreign(looking: Evaluator, dotted: str, node: ast.Call, scope: Scope) -> Seen:
    """A ``from_pretrained`` of a package the tables do not know loads where a hub id is given."""
    given = argument(node, 0, ("pretrained_model_name_or_path", "model", "model_name", "model_id", "repo_id"))
    values = looking.values(given, scope)
    if any(
        read_name(value.text, legacy=False).says in (Says.HUB, Says.URL)
        for value in values
        if value.kind is Kind.TEXT
    ):
        return judge_loader(looking, Loader("hub-load", Takes.MODEL), dotted, node, scope)
    return NOTHING


def judge_loader(looking: Evaluator, loader: Loader, dotted: str, node: ast.Call, scope: Scope) -> Seen:
    """What a call of a known loader shows, by what its argument is."""
    given = argument(node, loader.position, loader.names)
    values = looking.values(given, scope) if given is not None else ()
    if any(value.kind is Kind.VERIFIED for value in values):
        return NOTHING
    asked = Argument(dotted, node.lineno, node.col_offset + 1, revision_of(looking, node, scope))
    judge = _BY_ARGUMENT.get(loader.takes, _judge_models)
    return judge(Call(looking, loader, asked, node, scope), values)


def _judge_weights(call: Call, values: Values) -> Seen:
    known_place = all(value.kind in (Kind.LOCAL, Kind.TEXT, Kind.UNKNOWN) for value in values)
    return Seen((call.asked.sighting("unverified-weights"),)) if known_place else NOTHING


def _judge_registry(call: Call, values: Values) -> Seen:
    detail = next((value.text for value in values if value.kind is Kind.TEXT), "")
    return Seen((call.asked.sighting("registry-load", detail),))


def _judge_models(call: Call, values: Values) -> Seen:
    looking, loader, asked, node, scope = call.looking, call.loader, call.asked, call.node, call.scope
    if not values:
        spread = any(isinstance(item, ast.Starred) for item in node.args)
        spread = spread or any(item.arg is None for item in node.keywords)
        if loader.default or (spread and loader.position >= 0):
            detail = "no model is named: the library's default is fetched"
            return Seen((asked.sighting(loader.rule, detail),))
        return NOTHING
    offline = _is_true(looking, node, scope, "local_files_only")
    dataset = "dataset" in looking.texts(argument(node, -1, ("repo_type",)), scope)
    named = tuple(_named(value) for value in values)
    return judge_model(loader, asked, named, offline=offline, dataset=dataset)


def _named(value: Value) -> Named | None:
    """What one value says as a model; None where that could not be told."""
    if value.kind is Kind.TEXT:
        if value.text == HOLE:
            return None
        return read_name(value.text)
    if value.kind in (Kind.UNKNOWN, Kind.DICT, Kind.FUNCTION, Kind.PARTIAL):
        return None
    if value.kind is Kind.RESULT:
        return Named(Says.NOTHING) if find_loader(value.text) else None
    if value.kind is Kind.REF:
        return (
            None
            if value.text.startswith(("sys.argv", "os.environ", "builtins.", "builtins.input"))
            else Named(Says.NOTHING)
        )
    return Named(Says.LOCAL)


def _judge_pretrained(call: Call, values: Values) -> Seen:
    name = next((value.text for value in values if value.kind is Kind.TEXT), "")
    if name.startswith(("hf-hub:", "hf_hub:", "hf-hub/")):
        return judge_model(call.loader, call.asked, (read_name(name.partition(":")[2]),))
    if not pretrained_asked(call.looking, call.loader, call.node, call.scope):
        return NOTHING
    detail = f"pretrained weights {name!r}" if name else "pretrained weights"
    return Seen((call.asked.sighting(call.loader.rule, detail),))


_BY_ARGUMENT = {
    Takes.FILE: judge_file,
    Takes.ADDRESS: judge_address,
    Takes.DATASET: judge_dataset,
    Takes.PRETRAINED: _judge_pretrained,
    Takes.REGISTRY: _judge_registry,
    Takes.WEIGHTS: _judge_weights,
}


def _judge_command(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    given = argument(node, 0, ("args", "cmd", "command"))
    seen = NOTHING
    for value in looking.values(given, scope):
        if value.kind is Kind.SEQUENCE and isinstance(value.node, ast.List | ast.Tuple):
            words = [_word(looking, item, value.scope or scope) for item in value.node.elts]
            seen += judge_words(words, node.lineno)
        elif value.kind is Kind.TEXT:
            several = [value.text, *(_word(looking, item, scope) for item in node.args[1:])]
            seen += (
                judge_words(several, node.lineno)
                if len(several) > 1
                else read_shell(value.text).at(node.lineno)
            )
    return seen


def _word(looking: Evaluator, node: ast.expr, scope: Scope) -> str:
    values = looking.values(node, scope)
    if values[0].kind is Kind.REF and values[0].text == "sys.executable":
        return "python"
    return next((value.text for value in values if value.kind in (Kind.TEXT, Kind.LOCAL, Kind.CONST)), HOLE)


def _judge_method_command(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    method = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if method not in known.COMMAND_METHODS or not node.args:
        return NOTHING
    return _judge_command(looking, node, scope)


def _judge_code(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    from registry_gate.enforce.audit.python_file import read_code

    seen = NOTHING
    for text in looking.texts(argument(node, 0, ("source",)), scope):
        if "\n" in text or "(" in text:
            seen += read_code(text, "<text>", quiet=True).at(node.lineno)
    return seen


def _judge_environment_call(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    if len(node.args) < 2:
        return Seen(
            tuple(
                sighting
                for item in node.keywords
                if item.arg
                for text in looking.texts(item.value, scope)
                for sighting in judge_environment(item.arg, text, node.lineno).sightings
            )
        )
    names, texts = looking.texts(node.args[0], scope), looking.texts(node.args[1], scope)
    return judge_environment(names[0], texts[0], node.lineno) if names and texts else NOTHING


def _handed_over(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    """``map(load, names)``, ``Thread(target=load, args=...)``: a loader given to be called later."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in known.HANDING_OVER:
        return NOTHING
    candidates = [
        *node.args[:2],
        *(item.value for item in node.keywords if item.arg in ("target", "func", "function")),
    ]
    for given in candidates:
        for value in looking.values(given, scope) if isinstance(given, ast.Name | ast.Attribute) else ():
            loader = find_loader(value.text) if value.kind is Kind.REF else None
            if loader is not None and loader.takes in (Takes.MODEL, Takes.FILE):
                rest = _later_arguments(node, given)
                whole = ast.copy_location(ast.Call(func=given, args=rest, keywords=[]), node)
                found = judge_loader(looking, loader, value.text, whole, scope)
                return found if found.sightings or rest else _told_later(loader, value.text, node, name)
    return NOTHING


def _later_arguments(node: ast.Call, given: ast.expr) -> list[ast.expr]:
    rest = [item for item in node.args if item is not given]
    for keyword in node.keywords:
        if keyword.arg == "args" and isinstance(keyword.value, ast.Tuple | ast.List):
            rest.extend(keyword.value.elts)
    first = rest[0] if rest else None
    return [first.elts[0], *rest[1:]] if isinstance(first, ast.List | ast.Tuple) and first.elts else rest


def _told_later(loader: Loader, dotted: str, node: ast.Call, name: str) -> Seen:
    if name == "partial":
        return NOTHING  # judged where it is called
    return Seen(
        (Sighting("model-not-told", node.lineno, dotted, "the loader is handed to another function"),)
    )


def _hub_texts(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    """``hf://`` addresses open a hub's file in any function that takes paths."""
    named_too = any(
        isinstance(item.value, str) and item.value.startswith("hf://") for item in looking.module.strings
    )
    kinds = (ast.Constant, ast.JoinedStr, ast.Name) if named_too else (ast.Constant, ast.JoinedStr)
    for given in node.args[:2]:
        if isinstance(given, kinds):
            for text in looking.texts(given, scope):
                if text.startswith("hf://") and not text.startswith("hf://datasets/"):
                    named = hub_address(text)
                    model = named.model if named else None
                    return Seen((Sighting("hub-download", node.lineno, "hf://", text[:200], model),))
    return NOTHING


def _is_true(looking: Evaluator, node: ast.Call, scope: Scope, name: str) -> bool:
    given = argument(node, -1, (name,))
    return given is not None and any(value.text == "True" for value in looking.values(given, scope))


_BY_NAME = (
    (known.VERIFYING, _judge_verifying),
    (known.COMMANDS, _judge_command),
    (known.RUNNING_CODE, _judge_code),
    (_SETTING, _judge_environment_call),
)


def module_sightings(looking: Evaluator) -> Iterator[Seen]:
    """What the calls of a module show, in no order."""
    for node, scope in looking.module.calls:
        yield judge_call(looking, node, scope)
