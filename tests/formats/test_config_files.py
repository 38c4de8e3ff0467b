import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.formats.templates import template_hazard

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
NAMES = [
    "config.json",
    "tokenizer_config.json",
    "modules.json",
    "model_index.json",
    "adapter_config.json",
    "x.index.json",
]


def written(folder, document, name="config.json"):
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_real_configuration_is_read_and_clean(tmp_path, read, judge):
    from transformers import ViTConfig

    ViTConfig(num_labels=7, image_size=32, architectures=["ViTForImageClassification"]).save_pretrained(
        tmp_path
    )
    facts = read(tmp_path / "config.json")
    assert judge(facts) == [] and facts.understood
    assert (facts.config.model_type, facts.config.num_labels) == ("vit", 7)
    assert (facts.config.num_channels, facts.config.image_size) == (3, 32)
    assert facts.config.architectures == ("ViTForImageClassification",)


def test_what_libraries_ignore_is_noted_and_not_held_against_it(tmp_path, read, judge):
    document = {
        "_name_or_path": "google-bert/bert-base-uncased",
        "special_tokens_map_file": "/root/.cache/huggingface/special_tokens_map.json",
        "homepage": "https://huggingface.co/org/model",
    }
    facts = read(written(tmp_path, document))
    assert judge(facts) == []
    assert dict(facts.config.references) == document


def test_nested_references_are_found(tmp_path, read, judge):
    document = {"vision_config": {"deep": [{"auto_map": {"AutoModel": "org/repo--m.Model"}}]}}
    found = judge(read(written(tmp_path, document)))
    assert [(item.rule, item.location.field) for item in found] == [
        ("custom-code", "vision_config.deep.0.auto_map")
    ]


@pytest.mark.parametrize(
    ("name", "document", "rule"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "org/repo--tok.Tok"}, "custom-code"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["tok.Slow", None]}}, "custom-code"),
        ("tokenizer_config.json", {"vocab_file": "file:///etc/passwd"}, "external-reference"),
        ("tokenizer_config.json", {"vocab_file": "..\\vocab.txt"}, "path-outside"),
        ("tokenizer_config.json", {"vocab_file": "C:\\vocab.txt"}, "path-outside"),
        ("processor_config.json", {"chat_template": "{{ x|attr('a') }}"}, "unsafe-template"),
        (
            "tokenizer_config.json",
            {"chat_template": [{"name": "t", "template": "{{ x.__init__ }}"}]},
            "unsafe-template",
        ),
        ("modules.json", [{"path": "1_Dense", "type": "sentence_transformers.os.system"}], "custom-code"),
        ("modules.json", [{"path": "1_Dense"}], "custom-code"),
        ("config.json", {"activation_function": "subprocess.Popen"}, "custom-code"),
        ("model.safetensors.index.json", {"weight_map": {"a": 3}}, "path-outside"),
        ("model.safetensors.index.json", {"weight_map": {"a": "sub/model.safetensors"}}, "path-outside"),
    ],
)
def test_roads_out(name, document, rule, tmp_path, read, judge):
    assert rule in {item.rule for item in judge(read(written(tmp_path, document, name)))}


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("tokenizer_config.json", {"vocab_file": None, "tokenizer_class": "BertTokenizer"}),
        ("modules.json", [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]),
        ("modules.json", [{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]),
        ("config.json", {"activation_function": "torch.nn.modules.activation.Tanh"}),
        ("config.json", {"activation_function": "gelu_new"}),
        ("config.json", {"auto_map": {}, "trust_remote_code": False, "use_pretrained_backbone": False}),
        (
            "model_index.json",
            {
                "_class_name": "StableDiffusionPipeline",
                "unet": ["diffusers", "UNet2DConditionModel"],
                "x": [None, None],
            },
        ),
        ("trainer_state.json", {"loss": float("nan"), "best_model_checkpoint": "/content/out"}),
    ],
)
def test_ordinary_documents_are_clean(name, document, tmp_path, read, judge):
    assert judge(read(written(tmp_path, document, name))) == []


def test_honest_templates_pass():
    template = (
        "{% set ns = namespace(found=false) %}{% for message in messages %}{% if message['role'] == 'user' %}"
        "{{ '<|im_start|>' + message.role + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        "{{ raise_exception('no') if ns.found else strftime_now('%d %b %Y') }}{{ tools | tojson(indent=4) }}"
    )
    assert template_hazard(template) is None


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ x | attr ( 'y' ) }}",
        "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "{{ self._TemplateReference__context }}",
        "{% include 'a' %}",
        "{%- from 'a' import b %}",
        "a" * 2_000_000,
    ],
)
def test_templates_that_reach_out(template):
    assert template_hazard(template)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "json-malformed"),
        (b'{"a": 1} x', "json-malformed"),
        (b'{"a": ' + b"9" * 5000 + b"}", "json-malformed"),
        (b'{"a": {"b": 1, "b": 2}}', "json-duplicate-key"),
        (b'{"a":' * 90 + b"{}" + b"}" * 90, "json-too-deep"),
        (b"[" * 200_000 + b"]" * 200_000, "json-too-deep"),
    ],
)
def test_bad_documents(content, code, tmp_path, read):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    facts = read(path)
    assert code in {item.code for item in facts.problems} and not facts.understood


def test_size_and_count_limits(tmp_path, read):
    path = written(tmp_path, list(range(1000)))
    assert {item.code for item in read(path, max_config_bytes=100).problems} == {"document-too-large"}
    assert {item.code for item in read(path, max_json_nodes=100).problems} == {"json-malformed"}


@settings(max_examples=150, deadline=None)
@given(JSON, st.sampled_from(NAMES))
def test_any_document_gives_facts(tmp_path_factory, document, name):
    path = written(tmp_path_factory.mktemp("json"), document, name)
    facts = describe_file(path, name, ReaderLimits())
    assert facts.canonical()


KEYS = st.sampled_from(
    [
        "auto_map",
        "vocab_file",
        "chat_template",
        "base_model",
        "type",
        "path",
        "weight_map",
        "image_size",
        "id2label",
        "architectures",
        "tokenizer_class",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=5), st.sampled_from(NAMES))
def test_any_value_in_a_known_field_gives_facts(tmp_path_factory, document, name):
    path = tmp_path_factory.mktemp("json") / name
    path.write_text(json.dumps([document] if name == "modules.json" else document))
    assert describe_file(path, name, ReaderLimits()).canonical()


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("MLmodel", "flavors:\n  python_function:\n    loader_module: os\n", "custom-code"),
        ("config.yaml", "model:\n  class_path: os.system\n", "custom-code"),
        ("config.json", '{"module": "builtins", "class_name": "exec"}', "custom-code"),
        ("config.json", '{"vocabulary": "/etc/passwd"}', "path-outside"),
        ("adapter_config.json", '{"auto_mapping": {"parent_library": "os"}}', "custom-code"),
        ("install.sh", "true\n", "custom-code"),
        ("run", "#!/bin/sh\ntrue\n", "custom-code"),
        ("requirements.txt", "--extra-index-url http://127.0.0.1/\nx\n", "external-reference"),
        ("requirements.txt", "x @ git+https://127.0.0.1/x\n", "external-reference"),
    ],
)
def test_what_a_library_or_an_installer_would_follow(name, text, code, tmp_path):
    (tmp_path / name).write_text(text)
    facts = describe_file(tmp_path / name, name, ReaderLimits())
    assert code in {problem.code for problem in facts.problems}, facts.problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MLmodel", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"),
        ("config.json", '{"module": "keras_hub.src.models.bert", "class_name": "BertBackbone"}'),
        ("config.json", '{"module": "time", "vocabulary": ["a"]}'),
        ("requirements.txt", "torch>=2.6\ntransformers  # from PyPI\n"),
        ("notes.txt", "see https://127.0.0.1/\n"),
    ],
)
def test_what_nobody_would_follow_outside(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    assert not describe_file(tmp_path / name, name, ReaderLimits()).problems
