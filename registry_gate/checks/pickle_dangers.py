"""Well-known names that a hostile pickle calls, and what each can do: words for people, not a filter."""

from __future__ import annotations

_DANGERS: tuple[tuple[str, str], ...] = (
    ("os", "runs commands and changes files"),
    ("posix", "runs commands and changes files"),
    ("nt", "runs commands and changes files"),
    ("subprocess", "starts programs"),
    ("_posixsubprocess", "starts programs"),
    ("pty", "starts programs"),
    ("multiprocessing", "starts programs"),
    ("asyncio", "starts programs and opens connections"),
    ("socket", "opens network connections"),
    ("ssl", "opens network connections"),
    ("http", "opens network connections"),
    ("urllib", "opens network connections"),
    ("requests", "opens network connections"),
    ("aiohttp", "opens network connections"),
    ("webbrowser", "starts programs"),
    ("shutil", "changes files"),
    ("pathlib", "changes files"),
    ("tempfile", "changes files"),
    ("io", "opens files"),
    ("_io", "opens files"),
    ("sys", "changes the interpreter"),
    ("importlib", "imports any module"),
    ("pkgutil", "imports any name"),
    ("runpy", "runs Python code"),
    ("code", "runs Python code"),
    ("codeop", "runs Python code"),
    ("timeit", "runs Python code"),
    ("trace", "runs Python code"),
    ("profile", "runs Python code"),
    ("cProfile", "runs Python code"),
    ("pdb", "runs Python code"),
    ("bdb", "runs Python code"),
    ("doctest", "runs Python code"),
    ("types", "builds Python code"),
    ("marshal", "loads Python code"),
    ("pickle", "loads another pickle"),
    ("_pickle", "loads another pickle"),
    ("cloudpickle", "builds Python code"),
    ("dill", "builds Python code"),
    ("joblib", "loads another pickle"),
    ("ctypes", "calls machine code"),
    ("_ctypes", "calls machine code"),
    ("operator", "reaches any attribute"),
    ("_operator", "reaches any attribute"),
    ("functools", "wraps a call of anything"),
    ("pip", "installs software"),
    ("ensurepip", "installs software"),
    ("venv", "starts programs"),
    ("pydoc", "imports any module"),
    ("idlelib", "runs Python code"),
    ("lib2to3", "loads another pickle"),
    ("_pyrepl", "starts programs"),
    ("_osx_support", "starts programs"),
    ("_aix_support", "starts programs"),
    ("imaplib", "starts programs"),
    ("uuid", "starts programs"),
    ("logging", "writes files"),
)
_DANGEROUS_BUILTINS = frozenset(
    {"eval", "exec", "execfile", "compile", "open", "file", "getattr", "setattr", "delattr", "__import__"}
    | {"apply", "breakpoint", "input", "globals", "locals", "vars", "map", "filter", "type", "memoryview"}
)
_MODULES = dict(_DANGERS)


def danger(module: str, name: str) -> str | None:
    """What a well-known dangerous name can do; None for names that are merely not on the list."""
    if module in ("builtins", "__builtin__", "__builtins__"):
        return "runs code or reaches any object" if name.partition(".")[0] in _DANGEROUS_BUILTINS else None
    return _MODULES.get(module.partition(".")[0])


_WHOLE_MODEL = (
    "which is not on the allow-list: the model itself was pickled, and loading it runs the code of {!r}; "
    "ask for its weights alone, model.state_dict(), as safetensors"
)
_MODELS = (
    "torch.nn",
    "torchvision",
    "ultralytics",
    "models",
    "timm",
    "transformers.models",
    "diffusers.models",
)


def unlisted(module: str) -> str:
    """What to say of a name that is not on the list; of parts of a whole model, what to do instead."""
    if any(module == known or module.startswith(f"{known}.") for known in _MODELS):
        return _WHOLE_MODEL.format(module.partition(".")[0])
    return "which is not on the allow-list"
