"""Python source: parsed, never run. What does not parse is a finding, not silence."""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache

from registry_gate.enforce.audit.hubs import hub_address, is_dataset_address, is_file_address
from registry_gate.enforce.audit.python_calls import module_sightings
from registry_gate.enforce.audit.python_flags import assigned_switches
from registry_gate.enforce.audit.python_scope import Module, read_module
from registry_gate.enforce.audit.python_values import Evaluator, Modules
from registry_gate.enforce.audit.settings_words import judge_environment
from registry_gate.enforce.audit.sighting import NOTHING, Seen, Sighting
from registry_gate.finding import Severity

_WORDS = (
    "from_pretrained", "pretrained", "pipeline", "snapshot_download", "hub", "load", "Unpickler",
    "pickle", "safetensors", "trust_remote_code", "trust_repo", "huggingface", "transformers",
    "sentence_transformers", "SentenceTransformer", "timm", "whisper", "mlflow", "vllm", "ollama", "exec",
    "eval", "getattr", "import_module", "__import__", "HF_", "hf://", "Embedding", "YOLO", "diffusers",
    "system", "subprocess", "Popen", "torchvision", "applications", "from_", "joblib", "LLM", "Engine",
    "TRANSFORMERS_", "git", "urlopen", "urlretrieve", "KerasLayer", "get_file",
    "dangerous_deserialization", "retrieve", "spawn", "OFFLINE", "REMOTE_CODE", "WEIGHTS_ONLY", "hf.co",
    "modelscope", "civitai", "tfhub", "pytorch.org", "resolve/", ".pt", ".gguf", ".ckpt", ".onnx", ".h5",
)  # fmt: skip
_TRIGGER = re.compile("|".join(re.escape(word) for word in _WORDS))
_PLACEHOLDER = "registry_gate_hole"


class NoModules:
    """The modules of a text that stands alone: none."""

    def find(self, dotted: str, level: int, importer: str) -> tuple[Module, str] | None:
        """Nothing."""
        return None


def interesting(text: str) -> bool:
    """False for source in which no word stands that any rule of ours needs."""
    return _TRIGGER.search(text) is not None


def parse(text: str, path: str) -> Module | Sighting:
    """The module a text is, or the finding that it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        line = max(1, error.lineno or 1)
        return Sighting("could-not-tell", line, "Python", f"it does not parse: {error.msg}"[:200])
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return Sighting(
            "could-not-tell", 1, "Python", f"it does not parse: {type(error).__name__}: {error}"[:200]
        )
    return read_module(path, tree)


def read_code(
    text: str, path: str, modules: Modules | None = None, *, quiet: bool = False, deep: bool = True
) -> Seen:
    """What a Python source shows.

    Args:
        text: the source.
        path: its path, for imports within the tree.
        modules: the modules of the tree.
        quiet: a text that does not parse is nothing, for source found within other files.
        deep: False where nothing in it needs looking at beyond that it parses.
    """
    module = parse(text, path)
    if isinstance(module, Sighting):
        return NOTHING if quiet else Seen((module,))
    if not deep:
        return NOTHING
    try:
        return read_parsed(module, modules or NoModules())
    except RecursionError:
        return Seen((Sighting("could-not-tell", 1, "Python", "it is nested too deeply to be followed"),))


def read_parsed(module: Module, modules: Modules) -> Seen:
    """What a parsed module shows."""
    looking = Evaluator(module, modules)
    seen = [
        *module_sightings(looking),
        assigned_switches(looking, module),
        _set_items(looking),
        _addresses(module),
    ]
    sightings = [item for one in seen for item in one.sightings]
    return Seen(_unique(_without_echoes(sightings)), tuple(use for one in seen for use in one.on_road))


def _without_echoes(sightings: list[Sighting]) -> list[Sighting]:
    """An address that a call nearby was found to use is that call's finding, not one more."""
    used = {item.line for item in sightings if item.subject != "address"}
    return [
        item
        for item in sightings
        if item.subject != "address" or not used.intersection(range(item.line - 3, item.line + 4))
    ]


def _unique(sightings: list[Sighting]) -> tuple[Sighting, ...]:
    found: dict[tuple[object, ...], Sighting] = {}
    for item in sightings:
        found.setdefault(
            (item.rule, item.line, item.model, item.subject if item.rule != "remote-code" else ""), item
        )
    return tuple(sorted(found.values(), key=lambda item: (item.line, item.column)))


def _set_items(looking: Evaluator) -> Seen:
    """``os.environ["HF_ENDPOINT"] = ...``."""
    seen = NOTHING
    for target, value, scope in looking.module.subscripts:
        base = looking.values(target.value, scope)
        if base[0].text in ("os.environ", "builtins.environ"):
            for name in looking.texts(target.slice, scope):
                for text in looking.texts(value, scope) or ("",):
                    seen += judge_environment(name, text, target.lineno)
    return seen


def _addresses(module: Module) -> Seen:
    """Texts that are, as a whole, the address of a hub's file."""
    found = []
    for node in module.strings:
        text = node.value if isinstance(node.value, str) else ""
        named = hub_address(text) if " " not in text.strip() and "\\" not in text else None
        if named is not None and is_file_address(text) and "(" not in text and "*" not in text:
            severity = Severity.LOW if is_dataset_address(text) else Severity.MEDIUM
            found.append(
                Sighting(
                    "hub-download", node.lineno, "address", text[:200], named.model, named.revision, severity
                )
            )
    return Seen(tuple(found))


@lru_cache(maxsize=256)
def _inner(text: str) -> Seen:
    return read_code(text, "<text>", quiet=True)


def read_snippet(text: str) -> Seen:
    """Source found within a command line or a document; shell variables in it stand for anything."""
    plain = re.sub(r"\$\{?\w+\}?", _PLACEHOLDER, text) if "$" in text else text
    return _inner(plain)
