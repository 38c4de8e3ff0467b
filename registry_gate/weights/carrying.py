"""Which files beside the weights a Release carries, and why the others stay behind."""

from __future__ import annotations

import re

from registry_gate.evidence import Facts, FileFacts, FileFormat
from registry_gate.policy import Policy
from registry_gate.release import BOM_FILE

_CARRIED = frozenset({FileFormat.JSON, FileFormat.TEXT, FileFormat.YAML, FileFormat.SENTENCEPIECE})
_WEIGHTS = frozenset(
    {
        FileFormat.SAFETENSORS,
        FileFormat.TORCH_ZIP,
        FileFormat.TORCH_LEGACY,
        FileFormat.TORCHSCRIPT,
        FileFormat.HDF5,
        FileFormat.ONNX,
        FileFormat.GGUF,
        FileFormat.NUMPY,
        FileFormat.TFLITE,
        FileFormat.NATIVE_PROTOBUF,
    }
)
# sentence-transformers names a module's folder by its place in the pipeline and its class.
_MODULE_FOLDER = re.compile(r"[0-9]{1,2}_[A-Za-z]{1,40}/[^/]+")
_NOT_LOADED = re.compile(
    r"(trainer_state|all_results|train_results|eval_results)\.json"
    r"|.*\.index\.json|\..*"
)
_TRAINING_STATE = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state)[^/]*\.(bin|pt|pth)")
_SIGNATURE = re.compile(r"\.(sig|sigstore|sigstore\.json)$", re.IGNORECASE)
_ADAPTER = re.compile(r"(.*/)?adapter_(config\.json|model\..*)")


def carried_files(facts: Facts, policy: Policy) -> tuple[str, ...]:
    """Configuration, tokenizer and text at the top and in sentence-transformers module folders.

    Carried is what a reader understood, the policy allows and a library would read; never Python.
    """
    modules = facts.file("modules.json") is not None
    return tuple(
        file.path
        for file in facts.files
        if file.format in _CARRIED
        and not reason_left(file, policy, in_use=True)
        and ("/" not in file.path or (modules and is_module_folder(file.path)))
    )


def is_module_folder(path: str) -> bool:
    """True for a file directly inside a sentence-transformers module folder (``1_Pooling/config.json``)."""
    return _MODULE_FOLDER.fullmatch(path) is not None


def weights_like(file: FileFacts) -> bool:
    """True for a file that holds weights of some framework, whether or not the gate can convert it."""
    other = any(problem.code == "other-weights-left-behind" for problem in file.problems)
    return other or bool(file.tensors) or (file.format in _WEIGHTS and not _TRAINING_STATE.search(file.path))


def reason_left(file: FileFacts, policy: Policy, *, in_use: bool = False) -> str:
    """Why a file is not carried.

    Args:
        file: its facts.
        policy: the formats allowed.
        in_use: ask only whether something speaks against carrying it; empty when nothing does.
    """
    for applies, reason in (
        (file.format is FileFormat.PYTHON or file.path.endswith(".py"), "code is never carried"),
        (not file.understood, "not understood"),
        (file.format not in policy.formats, "the policy does not allow its format"),
        (_ADAPTER.fullmatch(file.path) is not None, "an adapter, which was not examined with its base model"),
        (_TRAINING_STATE.search(file.path) is not None, "training state, which no model needs"),
        (file.path.casefold() == BOM_FILE, "a Release has its own bill of materials, written by the gate"),
        (_SIGNATURE.search(file.path) is not None, "a signature over the source's files, not the Release's"),
        (_NOT_LOADED.fullmatch(file.path.rpartition("/")[2]) is not None, "not needed to load the model"),
    ):
        if applies:
            return reason
    if in_use:
        return ""
    return _reason_unused(file)


def _reason_unused(file: FileFacts) -> str:
    if file.tensors or file.format in _WEIGHTS:
        return "other weights: a Release carries the one set that was examined"
    if "/" in file.path:
        return "a sub-folder that was not examined as part of the model"
    return "not needed to load the model"
