"""KServe's InferenceService and its runtimes. Their containers' commands are judged as such, elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry_gate.enforce.serving.rules import found
from registry_gate.enforce.serving.values import Mapping, mapping, sequence, unknown_in
from registry_gate.finding import Confidence, Finding

_KINDS = frozenset({"InferenceService", "ServingRuntime", "ClusterServingRuntime", "LLMInferenceService"})
_PARTS = ("predictor", "transformer", "explainer")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_COMMIT = re.compile(r"(@|:|revision=)[0-9a-f]{40}$")
_FRAMEWORKS = ("sklearn", "xgboost", "lightgbm", "paddle", "pmml", "triton", "tensorflow", "pytorch", "onnx",
               "huggingface", "mlflow")  # fmt: skip
_PICKLED = frozenset({"sklearn", "xgboost", "lightgbm", "pytorch", "mlflow"})
_AUTHENTICATED = "security.opendatahub.io/enable-auth"


def is_kserve(document: Mapping) -> bool:
    """Whether a document is one of KServe's."""
    return document.get("kind") in _KINDS and "kserve" in str(document.get("apiVersion"))


def judge(document: Mapping, file: str) -> Iterator[Finding]:
    """Findings of one resource."""
    spec = mapping(document.get("spec"))
    annotations = mapping(mapping(document.get("metadata")).get("annotations"))
    if document.get("kind") != "InferenceService":
        yield from _images(spec, file, "spec")
        return
    if str(annotations.get(_AUTHENTICATED)).lower() != "true":
        yield found(
            "serving-authentication-unknown", file, "metadata.annotations", "nothing here says who may ask"
        )
    if "predictor" not in spec:
        yield found("serving-not-understood", file, "spec", "there is no predictor")
    for part in _PARTS:
        if part in spec:
            yield from _part(mapping(spec[part]), file, f"spec.{part}")


def _part(said: Mapping, file: str, place: str) -> Iterator[Finding]:
    concurrency = said.get("containerConcurrency", 0)
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency <= 0:
        yield found(
            "serving-queue-unbounded",
            file,
            f"{place}.containerConcurrency",
            "it is 0 or missing, which means no limit",
        )
    if not said.get("timeout"):
        yield found("serving-queue-without-timeout", file, f"{place}.timeout", "it is not set")
    if not said.get("maxReplicas"):
        message = "it is not set: load alone decides how many run"
        yield found("serving-rate-limit-missing", file, f"{place}.maxReplicas", message, Confidence.MEDIUM)
    model = mapping(said.get("model"))
    formats = [str(mapping(model.get("modelFormat")).get("name", "")).lower()] if model else []
    stores = [(f"{place}.model", model)] if model else []
    for name in _FRAMEWORKS:
        if name in said:
            formats.append(name)
            stores.append((f"{place}.{name}", mapping(said[name])))
    for name in formats:
        if name in _PICKLED:
            yield found(
                "serving-pickle-weights",
                file,
                f"{place}.model",
                f"{name}: its usual files are pickles",
                Confidence.MEDIUM,
            )
    for where, store in stores:
        yield from _store(store, file, where)
    yield from _images(said, file, place)


def _store(store: Mapping, file: str, place: str) -> Iterator[Finding]:
    uri = store.get("storageUri")
    storage = mapping(store.get("storage"))
    if uri is None and storage:
        yield found(
            "serving-model-unpinned", file, f"{place}.storage", "whatever lies in the bucket is served"
        )
    elif uri is not None:
        text = str(uri)
        if unknown_in(text):
            yield found(
                "serving-not-understood", file, f"{place}.storageUri", f"{text[:150]}: known at run time only"
            )
        elif not _DIGEST.search(text) and not _COMMIT.search(text):
            yield found(
                "serving-model-unpinned",
                file,
                f"{place}.storageUri",
                f"{text[:150]} names no digest or commit",
            )
    arguments = " ".join(str(item) for item in sequence(store.get("args")))
    if "trust_remote_code" in arguments or "trust-remote-code" in arguments:
        yield found("serving-remote-code", file, f"{place}.args", "trust_remote_code")


def _images(said: Mapping, file: str, place: str) -> Iterator[Finding]:
    for number, container in enumerate(sequence(said.get("containers"))):
        image = mapping(container).get("image")
        if image and not _DIGEST.search(str(image)):
            yield found(
                "serving-image-unpinned", file, f"{place}.containers[{number}].image", str(image)[:150]
            )
