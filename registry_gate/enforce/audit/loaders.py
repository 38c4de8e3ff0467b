"""The callables that load or fetch models, by package and last name: a table, read by ``python_calls``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Takes(StrEnum):
    """What a loader's argument is."""

    MODEL = "model"
    """A hub id, or a local folder."""
    PRETRAINED = "pretrained"
    """An architecture; weights are fetched when a flag says so."""
    FILE = "file"
    """A file of a format that can run code."""
    WEIGHTS = "weights"
    """A file of plain weights."""
    ADDRESS = "address"
    """A URL."""
    REGISTRY = "registry"
    """A registry reference such as ``models:/name@alias``."""
    DATASET = "dataset"


@dataclass(frozen=True, slots=True)
class Loader:
    """How one callable loads: its rule, what its argument is and where that stands.

    ``names`` are the keywords of the argument, ``position`` its place without keyword (-1: keyword only).
    ``within`` must be a part of the dotted name. ``default`` tells that a call without the argument fetches
    a default model. ``flag`` is the keyword that makes a PRETRAINED loader fetch.
    """

    rule: str
    takes: Takes
    position: int = 0
    names: tuple[str, ...] = ("model", "model_name", "model_id", "repo_id", "pretrained_model_name_or_path")
    within: str = ""
    default: bool = False
    flag: str = ""


_LOAD = Loader("hub-load", Takes.MODEL)
_FETCH = Loader("hub-download", Takes.MODEL, names=("repo_id",))
_SERVE = Loader("hub-serve", Takes.MODEL, names=("model", "model_path"))
_FILE = Loader(
    "unverified-pickle", Takes.FILE, names=("f", "file", "filename", "filepath", "path", "filepath_or_buffer")
)
_WEIGHTS = Loader("unverified-weights", Takes.WEIGHTS, names=("filename", "path", "path_or_bytes", "f"))
_KEYWORD = Loader(
    "hub-load",
    Takes.MODEL,
    position=-1,
    names=("model_name", "model_name_or_path", "model_id", "model", "repo_id"),
)
_TORCHVISION = Loader(
    "hub-load", Takes.PRETRAINED, position=-1, flag="weights", names=("weights", "pretrained")
)
_KERAS_APP = Loader(
    "hub-load",
    Takes.PRETRAINED,
    position=-1,
    flag="weights",
    names=("weights",),
    within="applications",
    default=True,
)
_ADDRESS = Loader("hub-download", Takes.ADDRESS, names=("url", "origin", "fullurl", "uri"))
_SECOND_ADDRESS = Loader("hub-download", Takes.ADDRESS, position=1, names=("url", "origin", "uri"))
_TF_HUB = Loader("hub-load", Takes.ADDRESS, names=("handle",), default=True)
_REGISTRY = Loader("registry-load", Takes.REGISTRY, names=("model_uri", "name", "artifact_uri"))

LOADERS: dict[str, dict[str, Loader]] = {
    "huggingface_hub": {
        "snapshot_download": _FETCH,
        "hf_hub_download": _FETCH,
        "cached_download": _ADDRESS,
        "from_pretrained_keras": _LOAD,
        "from_pretrained_fastai": _LOAD,
        "Repository": Loader("hub-download", Takes.MODEL, position=1, names=("clone_from",)),
    },
    "transformers": {
        "pipeline": Loader("hub-load", Takes.MODEL, position=1, names=("model",), default=True),
        "cached_file": Loader("hub-download", Takes.MODEL, names=("path_or_repo_id",)),
        "get_class_from_dynamic_module": Loader("remote-code", Takes.MODEL, position=1),
        "load_tool": Loader("remote-code", Takes.MODEL),
    },
    "modelscope": {"snapshot_download": _FETCH, "pipeline": Loader("hub-load", Takes.MODEL, 1, ("model",), default=True)},
    "sentence_transformers": {
        "SentenceTransformer": Loader("hub-load", Takes.MODEL, names=("model_name_or_path",)),
        "CrossEncoder": Loader("hub-load", Takes.MODEL, names=("model_name", "model_name_or_path")),
        "SparseEncoder": Loader("hub-load", Takes.MODEL, names=("model_name_or_path",)),
        "Transformer": Loader("hub-load", Takes.MODEL, names=("model_name_or_path",), within="models"),
    },
    "diffusers": {"from_single_file": Loader("hub-load", Takes.MODEL, names=("pretrained_model_link_or_path",)),
                  "load_lora_weights": Loader("hub-load", Takes.MODEL, names=("pretrained_model_name_or_path_or_dict",)),
                  "load_ip_adapter": _LOAD, "load_textual_inversion": _LOAD},
    "peft": {"load_peft_weights": _LOAD},
    "timm": {"create_model": Loader("hub-load", Takes.PRETRAINED, flag="pretrained", names=("model_name",))},
    "segmentation_models_pytorch": {},
    "open_clip": {
        "create_model_and_transforms": Loader("hub-load", Takes.PRETRAINED, 0, ("model_name",), flag="pretrained"),
        "create_model": Loader("hub-load", Takes.PRETRAINED, 0, ("model_name",), flag="pretrained"),
        "create_model_from_pretrained": _LOAD,
    },
    "clip": {"load": Loader("hub-load", Takes.MODEL, names=("name",))},
    "whisper": {"load_model": Loader("hub-load", Takes.MODEL, names=("name",))},
    "faster_whisper": {"WhisperModel": Loader("hub-load", Takes.MODEL, names=("model_size_or_path",))},
    "whisperx": {"load_model": Loader("hub-load", Takes.MODEL, names=("whisper_arch",))},
    "ultralytics": {"YOLO": Loader("hub-load", Takes.MODEL, names=("model",), default=True)},
    "flair": {"load": Loader("hub-load", Takes.MODEL, names=("model_path",)),
              "TransformerDocumentEmbeddings": _LOAD, "TransformerWordEmbeddings": _LOAD},
    "gensim": {"load": Loader("hub-load", Takes.MODEL, names=("name",), within="downloader")},
    "setfit": {},
    "spacy": {"download": Loader("hub-download", Takes.MODEL, names=("model",), within="cli")},
    "stanza": {"Pipeline": Loader("hub-load", Takes.MODEL, default=True, names=("lang",)),
               "download": Loader("hub-download", Takes.MODEL, names=("lang",))},
    "easyocr": {"Reader": Loader("hub-load", Takes.PRETRAINED, default=True, flag="download_enabled", names=("download_enabled",))},
    "keybert": {"KeyBERT": Loader("hub-load", Takes.MODEL, default=True)},
    "bertopic": {"BERTopic": Loader("hub-load", Takes.MODEL, position=-1, names=("embedding_model",))},
    "fastembed": {"TextEmbedding": Loader("hub-load", Takes.MODEL, default=True), "SparseTextEmbedding": _LOAD},
    "FlagEmbedding": {"BGEM3FlagModel": _LOAD, "FlagModel": _LOAD, "FlagReranker": _LOAD, "FlagAutoModel": _LOAD},
    "ctranslate2": {},
    "evaluate": {"load": Loader("remote-code", Takes.MODEL, names=("path",))},
    "gradio": {"load": Loader("hub-load", Takes.MODEL, names=("name",))},
    "fastai": {"load_learner": _FILE},
    "vllm": {"LLM": _SERVE, "AsyncEngineArgs": Loader("hub-serve", Takes.MODEL, names=("model",)),
             "EngineArgs": Loader("hub-serve", Takes.MODEL, names=("model",))},
    "sglang": {"Engine": Loader("hub-serve", Takes.MODEL, names=("model_path",)), "Runtime": _SERVE},
    "lmdeploy": {"pipeline": _SERVE},
    "mlx_lm": {"load": Loader("hub-load", Takes.MODEL, names=("path_or_hf_repo",))},
    "tensorrt_llm": {"LLM": _SERVE},
    "ctransformers": {},
    "ollama": {"pull": _SERVE, "chat": _SERVE, "generate": _SERVE, "embeddings": _SERVE, "embed": _SERVE},
    "gpt4all": {"GPT4All": Loader("hub-load", Takes.MODEL, names=("model_name",))},
    "llama_index": {"HuggingFaceEmbedding": Loader("hub-load", Takes.MODEL, default=True), "HuggingFaceLLM": _KEYWORD},
    "haystack": {"SentenceTransformersTextEmbedder": _LOAD, "SentenceTransformersDocumentEmbedder": _LOAD,
                 "HuggingFaceLocalGenerator": _LOAD},
    "unsloth": {},
    "auto_gptq": {"from_quantized": _LOAD},
    "awq": {"from_quantized": _LOAD},
    "optimum": {"main_export": _LOAD},
    "onnx": {"load": Loader("hub-load", Takes.MODEL, names=("model",), within="hub")},
    "onnxruntime": {"InferenceSession": _WEIGHTS},
    "tensorflow_hub": {"load": _TF_HUB, "KerasLayer": _TF_HUB, "resolve": _TF_HUB},
    "paddlehub": {"Module": Loader("hub-load", Takes.MODEL, position=-1, names=("name",))},
    "kagglehub": {"model_download": Loader("hub-download", Takes.MODEL, names=("handle",))},
    "torch": {
        "load": _FILE,
        "load_state_dict_from_url": _ADDRESS,
        "download_url_to_file": _ADDRESS,
        "jit.load": _FILE,
        "hub.load": Loader("remote-code", Takes.MODEL, names=("repo_or_dir",), within="hub"),
        "hub.list": Loader("remote-code", Takes.MODEL, names=("github",), within="hub"),
        "hub.help": Loader("remote-code", Takes.MODEL, names=("github",), within="hub"),
    },
    "pytorch_lightning": {"load_from_checkpoint": _FILE},
    "lightning": {"load_from_checkpoint": _FILE},
    "pickle": {"load": _FILE, "loads": _FILE, "Unpickler": _FILE},
    "_pickle": {"load": _FILE, "loads": _FILE, "Unpickler": _FILE},
    "cPickle": {"load": _FILE, "loads": _FILE},
    "cloudpickle": {"load": _FILE, "loads": _FILE},
    "dill": {"load": _FILE, "loads": _FILE, "load_session": _FILE, "load_module": _FILE},
    "joblib": {"load": _FILE},
    "jsonpickle": {"decode": _FILE, "loads": _FILE},
    "shelve": {"open": _FILE},
    "skops": {},
    "pandas": {"read_pickle": _FILE},
    "xgboost": {},
    "keras": {},
    "mlflow": {"load_model": _REGISTRY, "download_artifacts": _REGISTRY},
    "bentoml": {"load_model": _REGISTRY, "get": _REGISTRY, "import_model": _REGISTRY},
    "clearml": {"InputModel": _REGISTRY},
    "datasets": {"load_dataset": Loader("remote-code", Takes.DATASET, names=("path",)),
                 "load_dataset_builder": Loader("remote-code", Takes.DATASET, names=("path",)),
                 "load_metric": Loader("remote-code", Takes.MODEL, names=("path",))},
    "requests": dict.fromkeys(("get", "request", "head", "post"), _ADDRESS),
    "httpx": dict.fromkeys(("get", "request", "stream"), _ADDRESS),
    "aiohttp": dict.fromkeys(("get", "request"), _ADDRESS),
    "urllib": dict.fromkeys(("urlopen", "urlretrieve", "Request"), _ADDRESS),
    "urllib3": {"request": _SECOND_ADDRESS},
    "wget": {"download": _ADDRESS},
    "gdown": {"download": _ADDRESS},
    "pooch": {"retrieve": _ADDRESS},
    "fsspec": dict.fromkeys(("open", "open_files", "get_mapper", "filesystem"), _ADDRESS),
    "git": {"clone_from": Loader("hub-download", Takes.ADDRESS, names=("url",))},
}  # fmt: skip
"""Package, then last name (or last two, joined by a dot), then how it loads. Packages not named here load nothing."""

_TORCHVISION_EXEMPT = ("transforms", "datasets", "ops", "utils", "io")

FAMILY = (
    "transformers", "diffusers", "peft", "huggingface_hub", "sentence_transformers", "optimum", "setfit", "tokenizers", "timm", "trl",
    "span_marker", "gliner", "colpali_engine", "open_clip", "llama_cpp", "ctransformers", "auto_gptq", "awq", "unsloth", "mlx_lm",
    "speechbrain", "nemo", "parler_tts", "adapters", "pyannote", "keras_hub", "keras_nlp", "flair", "spacy_transformers", "pytorch_transformers",
    "intel_extension_for_transformers", "modelscope", "kokoro", "TTS", "llama_index", "langchain_huggingface", "langchain_community", "langchain",
    "FlagEmbedding", "transformers_js_py", "audiocraft", "allennlp", "fairseq", "ultralytics", "efficientnet_pytorch", "bentoml", "docling",
)  # fmt: skip
"""Packages whose ``from_pretrained`` and its siblings reach a hub."""

FAMILY_METHODS = (
    "from_pretrained", "from_pretrained_config", "from_hparams", "from_preset", "from_single_file", "from_quantized", "from_model_id", "from_hub",
    "from_huggingface", "load_from_hub", "from_hf_hub", "get_pretrained", "load_adapter",
)  # fmt: skip

LANGCHAIN = (
    "HuggingFaceEmbeddings", "HuggingFaceInstructEmbeddings", "HuggingFaceBgeEmbeddings", "SentenceTransformerEmbeddings",
    "HuggingFaceCrossEncoder", "SentenceTransformerEmbeddingFunction", "HuggingFaceEmbedding", "SentenceTransformerRerank",
    "HuggingFaceTextGenInference",
)  # fmt: skip


def find_loader(dotted: str) -> Loader | None:
    """How a callable with this dotted name loads; None if it does not.

    Args:
        dotted: the full name as imports give it; a class's instance counts as the class.
    """
    parts = dotted.split(".")
    package, last = parts[0], parts[-1]
    named = LOADERS.get(package)
    if named is not None and len(parts) > 1:
        found = named.get(".".join(parts[-2:])) or named.get(last)
        if found is not None and _fits(found, parts):
            return found
    if last in FAMILY_METHODS and package in FAMILY:
        return Loader("hub-load", Takes.MODEL, position=1) if _takes_base(parts) else _LOAD
    if last in LANGCHAIN:
        return _KEYWORD
    return _by_package(package, parts, last)


def _fits(loader: Loader, parts: list[str]) -> bool:
    if loader.within:
        return loader.within in parts[:-1]
    return not (
        parts[0] == "torch"
        and parts[-1] == "load"
        and len(parts) > 2
        and parts[1] not in ("serialization", "jit", "export")
    )


def _takes_base(parts: list[str]) -> bool:
    """``PeftModel.from_pretrained(base, adapter)``: the second argument is what is fetched."""
    return parts[0] == "peft" and parts[-2].startswith("Peft") and parts[-2] != "PeftConfig"


def _by_package(package: str, parts: list[str], last: str) -> Loader | None:
    if package in ("keras", "tensorflow", "tf_keras"):
        return _of_keras(parts, last)
    if package == "torchvision" and len(parts) > 2 and parts[1] == "models":
        return _TORCHVISION if last[:1].islower() and last not in ("list_models", "get_weight") else None
    if package == "numpy" and last == "load":
        return _FILE
    if package == "safetensors" and last in ("load_file", "safe_open", "load_model"):
        return _WEIGHTS
    return None


def _of_keras(parts: list[str], last: str) -> Loader | None:
    if last in ("load_model", "model_from_config", "model_from_json", "model_from_yaml") and len(parts) > 2:
        return _FILE
    if last == "load" and "saved_model" in parts:
        return _FILE
    if last == "get_file":
        return Loader("hub-download", Takes.ADDRESS, position=1, names=("origin",))
    if "applications" in parts and last[:1].isupper():
        return _KERAS_APP
    return None
