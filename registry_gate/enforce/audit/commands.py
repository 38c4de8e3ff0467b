"""One command line, as words: does it fetch, serve or run a model of a public hub?"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from registry_gate.enforce.audit import command_words as known
from registry_gate.enforce.audit.hubs import (
    MODEL_SUFFIXES,
    Named,
    Says,
    hub_address,
    is_dataset_address,
    is_file_address,
    pinned,
    read_name,
)
from registry_gate.enforce.audit.settings_words import judge_environment
from registry_gate.enforce.audit.sighting import NOTHING, RoadUse, Seen, Sighting
from registry_gate.finding import Severity

_RUNNERS = {
    "uvx": 1,
    "pipx": 1,
    "poetry": 2,
    "uv": 2,
    "pdm": 2,
    "hatch": 2,
    "conda": 2,
    "micromamba": 2,
    "pixi": 2,
    "rye": 2,
    "npx": 1,
}

Judge = Callable[[list[str], int], Seen]


def judge_command(words: list[str], line: int) -> Seen:
    """What one command line shows; ``words`` have their quotation marks taken off."""
    words = _program_first(words)
    if not words:
        return NOTHING
    program = words[0].rpartition("/")[2].lstrip("@-").lower()
    if program == "registry-gate":
        return _on_road(words, line)
    if program in known.SILENT:
        return NOTHING
    judge = _BY_PROGRAM.get(re.sub(r"(?<=python)[\d.]+$|(?<=pip)[\d.]+$", "", program))
    seen = judge(words, line) if judge else NOTHING
    if program in known.FETCHERS:
        seen += _fetched(words, line)
    if seen.sightings and program not in known.SERVERS:
        return seen
    return seen + _flags(words, line, program) if not seen.sightings else seen + _remote_code(words, line)


def _program_first(words: list[str]) -> list[str]:
    """Without ``sudo``, ``exec``, runners such as ``uv run`` and their options."""
    rest = [word for word in words if word]
    for _ in range(8):
        if rest and rest[0].lower() in known.PREFIXES:
            rest = rest[1:]
        elif rest and rest[0] == "timeout":
            rest = rest[2:]
        elif rest and rest[0] in _RUNNERS and len(rest) > _RUNNERS[rest[0]]:
            if rest[0] == "uv" and rest[1] in ("pip", "tool"):
                rest = rest[1:] if rest[1] == "pip" else rest[3:]
                continue
            if _RUNNERS[rest[0]] == 2 and rest[1] not in ("run", "exec"):
                return rest
            rest = _skip_options(rest[_RUNNERS[rest[0]] :])
        else:
            return rest
    return rest


def _skip_options(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        takes = words[0] in (
            "--from",
            "--with",
            "-p",
            "--python",
            "-n",
            "--name",
            "--package",
            "--spec",
            "--extra",
            "--project",
            "--directory",
        )
        words = words[2 if takes else 1 :]
    return words[1:] if words[:1] == ["run"] else words


def _on_road(words: list[str], line: int) -> Seen:
    if len(words) > 2 and words[1] in ("pull", "verify", "admit"):
        model = next((word for word in words[2:] if not word.startswith("-")), None)
        return (
            Seen(on_road=(RoadUse(line, f"registry-gate {words[1]}", model),))
            if words[1] == "pull"
            else NOTHING
        )
    return NOTHING


def _hub_tool(words: list[str], line: int) -> Seen:
    if len(words) < 3 or words[1] not in ("download", "snapshot-download", "scan"):
        return NOTHING
    subject = f"{words[0].rpartition('/')[2]} {words[1]}"
    dataset = _option(words, "--repo-type") in ("dataset", "datasets")
    model = _positional(words[2:]) or _option(words, "--model")
    return _found("hub-download", line, subject, model, _option(words, "--revision"), dataset=dataset)


def _git(words: list[str], line: int) -> Seen:
    if not any(
        word in words[1:5] for word in ("clone", "submodule", "lfs", "pull", "fetch", "remote", "subtree")
    ):
        return NOTHING
    for word in words[1:]:
        named = hub_address(word)
        if named is not None:
            severity = Severity.LOW if is_dataset_address(word) and "/datasets/" in word else None
            return Seen(
                (Sighting("hub-download", line, "git clone", word[:200], named.model, severity=severity),)
            )
    return NOTHING


def _fetched(words: list[str], line: int) -> Seen:
    for word in words[1:]:
        text = word.partition("=")[2] if word.startswith("--url=") else word
        named = hub_address(text)
        if named is not None and (
            named.model or is_file_address(text) or text.lower().endswith(MODEL_SUFFIXES)
        ):
            severity = Severity.LOW if is_dataset_address(text) else None
            return Seen(
                (Sighting("hub-download", line, words[0], text[:200], named.model, named.revision, severity),)
            )
        plain = text.partition("?")[0].lower()
        weights = plain.endswith(MODEL_SUFFIXES) and not plain.endswith(".bin")
        if "://" in text and weights and "://localhost" not in text and "://127.0.0.1" not in text:
            return Seen((Sighting("hub-download", line, words[0], text[:200], severity=Severity.MEDIUM),))
    return NOTHING


def _pip(words: list[str], line: int) -> Seen:
    for word in words[1:]:
        if (
            hub_address(word.partition("@ ")[2] or word.partition("=")[2] or word) is not None
            or "huggingface.co/" in word
        ):
            return Seen((Sighting("model-dependency", line, "pip", word[:200]),))
    return NOTHING


def _python(words: list[str], line: int) -> Seen:
    rest = words[1:]
    while rest and rest[0].startswith("-") and rest[0] not in ("-c", "-m"):
        if rest[0].startswith("-W") or rest[0] == "-X":
            rest = rest[1:]
        if rest and re.fullmatch(r"-[A-Za-z]*c", rest[0]):
            break
        rest = rest[1:]
    if len(rest) > 1 and rest[0].endswith("c") and rest[0].startswith("-"):
        from registry_gate.enforce.audit.python_file import read_snippet

        return read_snippet(rest[1].replace("\f", "\n")).at(line)
    if len(rest) > 1 and rest[0] == "-m":
        return _module(rest[1:], line)
    return NOTHING


def _module(words: list[str], line: int) -> Seen:
    name = words[0]
    if name.startswith(
        ("vllm.entrypoints", "sglang.launch_server", "llama_cpp.server", "mlx_lm", "lmdeploy", "aphrodite")
    ):
        return _serve_flags(words, line, f"python -m {name}")
    if name.startswith("huggingface_hub"):
        return _hub_tool(["huggingface_hub", *words[1:]], line)
    if name == "spacy" and words[1:2] == ["download"]:
        return _found("hub-download", line, "spacy download", _positional(words[2:]), None)
    if name in ("pip", "uv"):
        return _pip(words, line)
    return (
        judge_command([name.partition(".")[0], *words[1:]], line)
        if name in ("vllm", "sglang", "mlflow", "ollama")
        else NOTHING
    )


def _vllm(words: list[str], line: int) -> Seen:
    if words[1:2] == ["serve"] or words[1:2] == ["launch_server"]:
        model = _positional(words[2:])
        named = read_name(model) if model else Named(Says.NOTHING)
        if named.says in (Says.HUB, Says.URL):
            return _found("hub-serve", line, f"{words[0]} serve", model, _option(words, "--revision"))
    return _serve_flags(words, line, words[0])


def _ollama(words: list[str], line: int) -> Seen:
    if len(words) > 2 and words[1] in ("pull", "run"):
        return Seen((Sighting("hub-serve", line, f"ollama {words[1]}", words[2][:200], _model_of(words[2])),))
    return NOTHING


def _mlflow(words: list[str], line: int) -> Seen:
    if (
        words[1:2] == ["models"]
        and words[2:3]
        and words[2] in ("serve", "predict", "build-docker", "generate-dockerfile")
    ):
        uri = _option(words, "-m") or _option(words, "--model-uri") or ""
        return Seen((Sighting("registry-load", line, f"mlflow models {words[2]}", uri[:200]),))
    if words[1:3] == ["artifacts", "download"]:
        return Seen((Sighting("registry-load", line, "mlflow artifacts download"),))
    return NOTHING


def _script(words: list[str], line: int) -> Seen:
    """``sh -c "..."``: the text is a script of its own."""
    from registry_gate.enforce.audit.shell import read_shell

    for number, word in enumerate(words[1:-1], 1):
        if re.fullmatch(r"-[a-z]*c", word):
            return read_shell(words[number + 1].replace("\f", " ")).at(line)
    return NOTHING


def _docker(words: list[str], line: int) -> Seen:
    seen = NOTHING
    for flag, word in pairwise(words):
        name, equals, value = word.partition("=")
        if flag in ("-e", "--env", "--build-arg") and equals:
            seen += judge_environment(name, value, line)
    if words[1:2] == ["model"] and len(words) > 3 and words[2] in ("pull", "run"):
        seen += Seen((Sighting("hub-serve", line, "docker model", words[3], _model_of(words[3])),))
    return seen


def _modelscope(words: list[str], line: int) -> Seen:
    model = _option(words, "--model") or _positional(words[2:])
    return (
        _found("hub-download", line, "modelscope download", model, None)
        if words[1:2] == ["download"]
        else NOTHING
    )


def _kaggle(words: list[str], line: int) -> Seen:
    return (
        Seen((Sighting("hub-download", line, "kaggle models"),))
        if words[1:2] == ["models"] and "download" in words
        else NOTHING
    )


def _flags(words: list[str], line: int, program: str) -> Seen:
    """Options that name a model, of any program: scripts, launchers, images whose program is not shown."""
    if program in known.API_TOOLS:
        return NOTHING
    return _serve_flags(words, line, program)


def _serve_flags(words: list[str], line: int, subject: str) -> Seen:
    found: list[Sighting] = []
    for number, word in enumerate(words):
        flag, equals, given = word.partition("=")
        if flag not in known.MODEL_FLAGS | known.URL_FLAGS:
            continue
        value = given if equals else (words[number + 1] if number + 1 < len(words) else "")
        value = re.sub(r"^(?:.*,)?pretrained=([^,]+).*$", r"\1", value) if flag == "--model_args" else value
        named = read_name(value.replace("\f", "").strip(), legacy=False)
        explicit = flag in ("-hf", "-hfr", "--hf-repo", "-hfd", "--hf-repo-draft") and not value.startswith(
            "-"
        )
        if named.says in (Says.HUB, Says.URL) or explicit:
            down = sum(item.count("\f") for item in words[:number])
            found.append(
                Sighting(
                    "hub-serve",
                    line + down,
                    f"{subject} {flag}",
                    value[:200],
                    named.model or _model_of(value),
                )
            )
    return Seen(tuple(found)) + _remote_code(words, line)


def _remote_code(words: list[str], line: int) -> Seen:
    for number, word in enumerate(words):
        flag, _, given = word.partition("=")
        if flag.replace("_", "-") == "--trust-remote-code" and given.lower() not in ("false", "0"):
            following = words[number + 1].lower() if number + 1 < len(words) else ""
            return NOTHING if following in ("false", "0") else Seen((Sighting("remote-code", line, flag),))
    return NOTHING


def _found(
    rule: str, line: int, subject: str, model: str | None, revision: str | None, *, dataset: bool = False
) -> Seen:
    named = read_name(model or "")
    severity = Severity.LOW if dataset else None
    one = Sighting(rule, line, subject, "", named.model, revision, severity)
    if pinned(revision) or dataset:
        return Seen((one,))
    moved = Severity.MEDIUM if revision else None
    return Seen(
        (one, Sighting("unpinned-revision", line, subject, revision or "", named.model, revision, moved))
    )


def _model_of(text: str) -> str | None:
    return read_name(text.strip(), legacy=False).model


def _option(words: list[str], name: str) -> str | None:
    for number, word in enumerate(words):
        if word == name and number + 1 < len(words):
            return words[number + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _positional(words: list[str]) -> str | None:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in known.WITH_VALUE
        else:
            return word
    return None


_BY_PROGRAM: dict[str, Judge] = {
    "huggingface-cli": _hub_tool,
    "hf": _hub_tool,
    "hfdownloader": _hub_tool,
    "git": _git,
    "git-lfs": _git,
    "pip": _pip,
    "python": _python,
    "vllm": _vllm,
    "sglang": _vllm,
    "ollama": _ollama,
    "mlflow": _mlflow,
    "docker": _docker,
    "podman": _docker,
    "nerdctl": _docker,
    "modelscope": _modelscope,
    "kaggle": _kaggle,
    "spacy": lambda words, line: _module(["spacy", *words[1:]], line),
    "sh": _script,
    "bash": _script,
    "zsh": _script,
    "ash": _script,
    "dash": _script,
}
