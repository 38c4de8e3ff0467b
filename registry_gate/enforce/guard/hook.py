"""The audit hook: each event of Python's that can be a load, held against the terms.

Handlers run inside other people's imports and opens: they do little, import nothing and never fail
open. A hook sees what CPython and its standard library announce; ``docs/guard.md`` says what it cannot see.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from registry_gate.enforce.guard import commands, files
from registry_gate.enforce.guard.allowed_names import ALLOWED
from registry_gate.enforce.guard.hosts import is_hub_host
from registry_gate.enforce.guard.refusal import GuardRefused, Sink, make_event
from registry_gate.enforce.guard.terms import Terms

Arguments = tuple[object, ...]

_DYNAMIC = ("transformers_modules", "datasets_modules", "evaluate_modules")
_UNMARSHALLING = ("/keras/", "/tf_keras/", "/tensorflow/")
_BETWEEN_PROCESSES = (
    "/multiprocessing/",
    "/concurrent/futures/",
    "/joblib/externals/loky/",
    "/loky/",
    "/torch/multiprocessing/",
)
"""Folders of libraries that unpickle what another process of the same program sent them."""
_HOST_HEADER = b"\r\nHost: "


class Guard:
    """The handlers of one installation."""

    def __init__(self, terms: Terms, sinks: tuple[Sink, ...]) -> None:
        self._terms = terms
        self._sinks = sinks
        self._inside = threading.local()
        self.handlers: dict[str, Callable[[Arguments], None]] = {
            "pickle.find_class": self._find_class,
            "open": self._open,
            "import": self._import,
            "exec": self._exec,
            "marshal.loads": self._unmarshal,
            "socket.getaddrinfo": self._resolve,
            "socket.gethostbyname": self._resolve,
            "socket.connect": self._connect,
            "urllib.Request": self._request,
            "http.client.connect": self._http_connect,
            "http.client.send": self._http_send,
            "subprocess.Popen": self._start,
            "os.system": self._start,
            "os.exec": self._start,
            "os.posix_spawn": self._start,
            "os.spawn": self._start,
            "pty.spawn": self._start,
        }

    def hook(self) -> Callable[[str, Arguments], None]:
        """The function for ``sys.addaudithook``."""
        find = self.handlers.get

        def hook(event: str, arguments: Arguments) -> None:
            handler = find(event)
            if handler is not None:
                handler(arguments)

        return hook

    def _refuse(self, code: str, hook: str, subject: str, detail: str = "") -> None:
        if getattr(self._inside, "busy", False):
            return
        self._inside.busy = True
        try:
            event = make_event(code, hook, subject, detail, refused=not self._terms.observe)
            for sink in self._sinks:
                sink(event)
        except OSError as error:
            # A refusal that could not be recorded is a refusal all the same.
            event = make_event(
                code, hook, subject, f"{detail} (not recorded: {error.strerror})", refused=True
            )
        finally:
            self._inside.busy = False
        if event.refused:
            raise GuardRefused(event)

    def _find_class(self, arguments: Arguments) -> None:
        pair = (str(arguments[0]), str(arguments[1]))
        if pair in ALLOWED or pair in self._terms.allow or _from_another_process():
            return
        self._refuse("guard-pickle", "pickle.find_class", f"a pickle asks for {pair[0]}.{pair[1]}")

    def _open(self, arguments: Arguments) -> None:
        path = arguments[0]
        if isinstance(path, bytes):
            path = path.decode("utf-8", "surrogateescape")
        if not isinstance(path, str) or not files.reads(arguments[1], arguments[2]):
            return
        if files.is_model(path, _caller(3)) and not files.may_open(path, self._terms):
            self._refuse("guard-unverified-file", "open", path, "nobody here verified it")

    def _import(self, arguments: Arguments) -> None:
        name = str(arguments[0])
        if name.startswith(_DYNAMIC):
            self._refuse("guard-remote-code", "import", name, "code that came with a model")

    def _exec(self, arguments: Arguments) -> None:
        name = getattr(arguments[0], "co_filename", "")
        if name.endswith("/hubconf.py") or any(f"/{folder}/" in name for folder in _DYNAMIC):
            self._refuse("guard-remote-code", "exec", name, "code that came with a model")

    def _unmarshal(self, arguments: Arguments) -> None:
        caller = _caller(3)
        if any(part in caller for part in _UNMARSHALLING):
            self._refuse("guard-remote-code", "marshal.loads", "a layer made of byte code")

    def _is_hub(self, host: object) -> bool:
        text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        return isinstance(text, str) and (
            is_hub_host(text, self._terms.hubs) or text in self._terms.addresses
        )

    def _resolve(self, arguments: Arguments) -> None:
        if self._is_hub(arguments[0]):
            self._refuse("guard-download", "socket.getaddrinfo", _shown(arguments[0]), "a public model hub")

    def _connect(self, arguments: Arguments) -> None:
        address = arguments[1]
        if isinstance(address, tuple) and address and self._is_hub(address[0]):
            self._refuse("guard-download", "socket.connect", _shown(address[0]), "a public model hub")

    def _request(self, arguments: Arguments) -> None:
        host = str(arguments[0]).partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
        if self._is_hub(host):
            self._refuse("guard-download", "urllib.Request", str(arguments[0]), "a public model hub")

    def _http_connect(self, arguments: Arguments) -> None:
        if self._is_hub(arguments[1]):
            self._refuse("guard-download", "http.client.connect", _shown(arguments[1]), "a public model hub")

    def _http_send(self, arguments: Arguments) -> None:
        """A request through a proxy still says whom it is for."""
        data = arguments[1]
        if not isinstance(data, bytes):
            return
        head = data[:4096]
        host = head.partition(_HOST_HEADER)[2].partition(b"\r\n")[0]
        if head.startswith(b"CONNECT "):
            host = head[8:].partition(b" ")[0]
        if host and self._is_hub(host.partition(b":")[0]):
            self._refuse("guard-download", "http.client.send", _shown(host), "a public model hub")

    def _start(self, arguments: Arguments) -> None:
        command = " ".join(commands.words_of(item) for item in arguments[:2])
        if commands.fetches(command, self._is_hub):
            self._refuse("guard-command", "subprocess.Popen", command, "it fetches from a public model hub")


def _shown(host: object) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)


def _caller(depth: int) -> str:
    """The file of the code that led to the event; empty where Python itself did, at its start."""
    try:
        return sys._getframe(depth).f_code.co_filename
    except ValueError:
        return ""


def _from_another_process() -> bool:
    """Whether the unpickler at work was called by a library that moves objects between processes."""
    try:
        frame = sys._getframe(3)
    except ValueError:
        return False
    name = frame.f_code.co_filename
    while name.endswith("/pickle.py") and frame.f_back is not None:
        frame = frame.f_back
        name = frame.f_code.co_filename
    return any(part in name for part in _BETWEEN_PROCESSES) and _installed(name)


_PLACES = (sys.base_prefix + "/", sys.prefix + "/", sys.exec_prefix + "/")


def _installed(name: str) -> bool:
    """A folder of the program that is called as such a library is not it."""
    return name.startswith(_PLACES) or "/site-packages/" in name or "/dist-packages/" in name
