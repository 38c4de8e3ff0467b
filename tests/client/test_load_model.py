"""Models and tensors, loaded from verified copies with the real libraries."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save
from transformers import BertConfig, BertForSequenceClassification

from registry_gate import errors, load_verified
from registry_gate.release import Verified
from registry_gate.testing.sample_release import SampleStore

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film")


@pytest.fixture(scope="module")
def original() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    return BertForSequenceClassification(config).eval()


@pytest.fixture(scope="module")
def files(
    original: BertForSequenceClassification, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("saved")
    original.save_pretrained(folder)
    saved = {path.name: path.read_bytes() for path in folder.iterdir()}
    saved["vocab.txt"] = "\n".join(VOCABULARY).encode()
    saved["tokenizer_config.json"] = b'{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'
    return saved


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used while loading")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_model_is_loaded_from_the_verified_copy(
    store: SampleStore,
    files: dict[str, bytes],
    original: BertForSequenceClassification,
    tmp_path: Path,
    scratch: Path,
    no_network: None,
) -> None:
    store.admit(tmp_path, "acme/bert", files)
    before = dict(os.environ), huggingface_hub.constants.HF_HUB_OFFLINE
    model = load_verified("acme/bert", device="cpu")
    assert (dict(os.environ), huggingface_hub.constants.HF_HUB_OFFLINE) == before
    assert list(scratch.iterdir()) == []
    assert isinstance(model, BertForSequenceClassification)
    assert not model.training
    assert isinstance(model.verified, Verified)
    assert model.verified.id == "acme/bert"
    inputs = model.processor("good film", return_tensors="pt")
    assert inputs["input_ids"].tolist() == [[2, 5, 7, 3]]
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, original(**inputs).logits)


def test_tensors_are_loaded_from_every_shard(store: SampleStore, tmp_path: Path, scratch: Path) -> None:
    one, two = torch.arange(6, dtype=torch.float32).reshape(2, 3), torch.ones(4, dtype=torch.bfloat16)
    shards = {
        "model-00001-of-00002.safetensors": save({"one": one}),
        "model-00002-of-00002.safetensors": save({"two": two}),
    }
    store.admit(tmp_path, "acme/shards", shards)
    tensors = load_verified("acme/shards", into="state_dict")
    assert list(scratch.iterdir()) == []
    assert set(tensors) == {"one", "two"}
    assert torch.equal(tensors["one"], one)
    assert torch.equal(tensors["two"], two)


def test_a_tensor_in_two_files_is_not_guessed(store: SampleStore, tmp_path: Path) -> None:
    files = {"a.safetensors": save({"x": torch.zeros(1)}), "b.safetensors": save({"x": torch.ones(1)})}
    store.admit(tmp_path, "acme/twice", files)
    with pytest.raises(errors.ToolError) as caught:
        load_verified("acme/twice", into="state_dict")
    assert caught.value.code == "load-failed"


@pytest.mark.parametrize(
    "update",
    [
        {"auto_map": {"AutoModel": "acme/evil--modeling.Evil"}},
        {"auto_map": {}},
        {"architectures": ["EvilModel"]},
        {"architectures": ["AutoModel"]},
        {"architectures": ["Trainer"]},
        {"architectures": []},
        {"architectures": None},
        {"architectures": [["BertModel"]]},
        {"attn_implementation": "acme/flash-kernel"},
        {"_attn_implementation": "acme/flash-kernel"},
        {"hidden_size": "many"},
        {"text_config": {"auto_map": {"AutoModel": "acme/evil--modeling.Evil"}}},
        {"text_config": {"_attn_implementation_internal": "acme/flash-kernel"}},
        {"use_pretrained_backbone": True, "backbone": "acme/backbone"},
        {"transformers_weights": "other.safetensors"},
    ],
)
def test_a_configuration_that_asks_for_more_is_not_loaded(
    update: dict[str, object],
    store: SampleStore,
    files: dict[str, bytes],
    tmp_path: Path,
    scratch: Path,
    no_network: None,
) -> None:
    """Even signed: the client runs library classes only."""
    config = json.dumps({**json.loads(files["config.json"]), **update}).encode()
    folder = store.gate.release(tmp_path, "acme/more", {**files, "config.json": config}).root
    with pytest.raises(errors.ToolError) as caught:
        load_verified(folder)
    assert caught.value.code == "load-failed"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("outside", ["{}/other.safetensors", "../../other.safetensors", "other.safetensors"])
def test_a_shard_that_is_not_in_the_release_is_not_opened(
    outside: str,
    store: SampleStore,
    files: dict[str, bytes],
    original: BertForSequenceClassification,
    tmp_path: Path,
) -> None:
    """`transformers` follows an absolute path in the index, to bytes that nobody verified."""
    (tmp_path / "other.safetensors").write_bytes(files["model.safetensors"])
    index = {"metadata": {}, "weight_map": dict.fromkeys(original.state_dict(), outside.format(tmp_path))}
    signed = {name: data for name, data in files.items() if name != "model.safetensors"}
    signed["model.safetensors.index.json"] = json.dumps(index).encode()
    folder = store.gate.release(tmp_path / "made", "acme/shard", signed).root
    with pytest.raises(errors.ToolError) as caught:
        load_verified(folder)
    assert caught.value.code == "load-failed"
    assert "not in the Release" in caught.value.message


def test_an_adapter_is_not_loaded_as_a_model(
    store: SampleStore, files: dict[str, bytes], tmp_path: Path
) -> None:
    adapter = {**files, "adapter_config.json": b'{"base_model_name_or_path": "acme/base"}'}
    with pytest.raises(errors.ToolError):
        load_verified(store.gate.release(tmp_path, "acme/adapter", adapter).root)


@pytest.mark.parametrize(
    "files_there", [{"config.json": b"{}"}, {"a.txt": b"x"}, {"model.safetensors": b"x"}]
)
@pytest.mark.parametrize("into", ["model", "state_dict"])
def test_what_cannot_be_loaded_is_one_of_our_errors(
    files_there: dict[str, bytes], into: str, store: SampleStore, tmp_path: Path, scratch: Path
) -> None:
    folder = store.gate.release(tmp_path, "acme/odd", files_there).root
    with pytest.raises(errors.ToolError) as caught:
        load_verified(folder, into=into)  # type: ignore[call-overload]
    assert caught.value.code == "load-failed"
    assert list(scratch.iterdir()) == []


def test_no_parser_sees_a_byte_before_it_was_verified(
    store: SampleStore, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.gate.release(tmp_path, "acme/early", files).root
    path = folder / "model/vocab.txt"
    path.write_bytes(path.read_bytes()[:-1] + b"n")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("parsed before it was verified")

    monkeypatch.setattr("registry_gate.client.parse_copy.model", refuse)
    monkeypatch.setattr("registry_gate.client.parse_copy.state_dict", refuse)
    for into in ("model", "state_dict"):
        with pytest.raises(errors.VerificationError) as caught:
            load_verified(folder, into=into)  # type: ignore[call-overload]
        assert caught.value.code == "bytes-differ"


def test_an_unknown_kind_is_a_usage_error(store: SampleStore) -> None:
    with pytest.raises(errors.UsageError) as caught:
        load_verified("acme/bert", into="pickle")  # type: ignore[call-overload]
    assert caught.value.code == "bad-into"
