"""What the audit knows of ordinary functions: which hand a value on, which give a local path, which run a command."""

from __future__ import annotations

VERIFYING = frozenset(
    {
        "registry_gate.load_verified",
        "registry_gate.client.load_verified",
        "registry_gate.client.load.load_verified",
        "registry_gate.client.pull.pull",
        "registry_gate.client.pull",
    }
)
"""Their results are what the gate has verified."""

HANDED_ON = frozenset(
    {
        "builtins.str", "os.fspath", "os.path.expanduser", "os.path.expandvars", "typing.cast", "copy.copy", "copy.deepcopy",
        "builtins.list", "builtins.tuple", "builtins.sorted", "builtins.set", "builtins.iter", "builtins.next", "builtins.reversed",
        "shlex.split", "textwrap.dedent", "builtins.dict",
    }
)  # fmt: skip
"""Their result is, for our purpose, their first argument."""

LOCAL_RESULTS = (
    "tempfile.",
    "os.getcwd",
    "os.path.dirname",
    "os.path.abspath",
    "os.path.realpath",
    "glob.",
    "pathlib.",
    "builtins.open",
    "io.open",
    "gzip.open",
)
"""Functions, or beginnings of their names, whose results are paths or files of this machine."""

JOINING = frozenset({"os.path.join", "posixpath.join"})
ENVIRONMENT = frozenset(
    {"os.environ.get", "os.getenv", "os.environ.setdefault", "environ.get", "os.environ.pop"}
)
IMPORTING = frozenset({"importlib.import_module", "builtins.__import__"})
RUNNING_CODE = frozenset({"builtins.exec", "builtins.eval", "builtins.compile", "code.interact"})

COMMANDS = frozenset(
    {
        "os.system", "os.popen", "subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call",
        "subprocess.check_output", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
        "asyncio.create_subprocess_exec", "pexpect.spawn", "pexpect.run", "builtins.get_ipython.system", "os.execvp", "os.execlp", "os.execv",
        "os.spawnlp", "os.posix_spawn", "invoke.run", "plumbum.local", "commands.getoutput", "pty.spawn",
    }
)  # fmt: skip
COMMAND_METHODS = frozenset(
    {
        "run",
        "sudo",
        "local",
        "exec_command",
        "run_cmd",
        "sh",
        "execute",
        "shell",
        "run_commands",
        "run_command",
        "system",
        "getoutput",
    }
)
"""Methods of things unknown that often run a command; only what is plainly a hub's download counts there."""

TEXT_METHODS = frozenset(
    {
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "removesuffix",
        "removeprefix",
        "casefold",
        "encode",
        "decode",
        "split",
        "rsplit",
        "copy",
    }
)
PATH_METHODS = frozenset(
    {
        "open",
        "resolve",
        "absolute",
        "expanduser",
        "joinpath",
        "as_posix",
        "with_suffix",
        "with_name",
        "read_bytes",
        "parent",
    }
)
HANDING_OVER = frozenset(
    {
        "partial",
        "map",
        "submit",
        "to_thread",
        "run_in_executor",
        "Thread",
        "Process",
        "apply",
        "apply_async",
        "starmap",
        "imap",
        "delayed",
        "Timer",
        "remote",
        "lru_cache",
        "cache",
    }
)
"""Callables that are given another callable, to call it later."""

LOCAL_FIXTURES = frozenset({"tmp_path", "tmpdir", "tmp_path_factory"})
DATA_WORDS = ("cache", "dataset", "data", "vocab", "feature", "history", "result", "config", "message", "session", "queue", "cookie", "token", "index",
              "log", "stats", "metrics", "record", "row", "payload", "request", "response", "state_machine", "graph", "corpus", "embeddings", "labels", "split")  # fmt: skip
MODEL_WORDS = ("model", "weight", "ckpt", "checkpoint", "classif", "regress", "estimator", "clf", "pipeline", "tokenizer", "scaler", "encoder", "net", "forest",
               "detector", "predict", "xgb", "lgbm", "svm", "embedder", ".pt", ".pth", ".bin", "sklearn")  # fmt: skip
