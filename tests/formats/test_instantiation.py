"""What a configuration would have called: by Hydra's field, by a tag, in whatever spelling."""

from __future__ import annotations

import pytest
import yaml

from registry_gate.formats.instantiation import named_hazard, target_hazard, yaml_hazard

COMMANDS = [
    "os.system",
    "subprocess.Popen",
    "builtins.exec",
    "eval",
    "torch.load",
    "hydra.utils.call",
    " os.system ",
]
CLASSES = [
    "nemo.collections.asr.modules.ConformerEncoder",
    "torch.optim.AdamW",
    "pathlib.Path",
    "my_model.Net",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_said(name):
    assert name.strip() in target_hazard(name)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_what_such_configurations_are_for(name):
    assert target_hazard(name) is None


@pytest.mark.parametrize("name", COMMANDS[:3])
@pytest.mark.parametrize(
    "text",
    [
        "a: [{_target_: NAME}]",
        'a: {"_tar\\x67et_": "NAME"}',
        "--- 1\n--- {_target_: NAME}",
        "_target_: &x NAME",
    ],
    ids=["nested", "escaped", "second document", "anchor"],
)
def test_a_target_in_yaml_is_seen_in_any_spelling(text, name):
    assert name in yaml_hazard(text.replace("NAME", name))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [a]",
        "!<tag:yaml.org,2002:python/name:os.system>",
        "%TAG !p! tag:yaml.org,2002:python/\n--- !p!name:os.system",
        "? !!python/tuple [1]\n: 2",
        "!Custom {a: 1}",
        "a: 1\n---\nb: !!python/none\n",
    ],
)
def test_any_tag_that_is_none_of_yamls_own_is_said(text):
    assert "asks for" in yaml_hazard(text)


def test_ordinary_documents_ask_for_nothing():
    text = "a: !!str 1\nb: !!set {x, y}\nc: ! plain\nd: hello! world!\ne: 'a !!python/x'\nf: [1, 2.5, null]\n"
    assert yaml_hazard(text) is None and yaml.safe_load(text)


def test_what_no_loader_gets_to_is_not_looked_at():
    assert yaml_hazard("a: [1\n!!python/x") is None
    assert "asks for" in yaml_hazard("a: !!python/x 1\nb: [")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_path", "os.system"),
        ("class_path", "subprocess.Popen"),
        ("loader_module", "os"),
        ("loader_module", "my_loader"),
        ("loader_module", "mlflowx.sklearn"),
        ("parent_library", "os"),
        ("parent_library", "transformers_modules.x"),
    ],
)
def test_modules_that_libraries_import_by_a_field(key, value):
    assert named_hazard(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_path", "lightning.pytorch.demos.BoringModel"),
        ("class_path", "torch.optim.Adam"),
        ("loader_module", "mlflow.sklearn"),
        ("parent_library", "transformers.models.bert.modeling_bert"),
        ("parent_library", ""),
        ("title", "os.system"),
        (None, "os.system"),
    ],
)
def test_fields_that_name_a_librarys_own(key, value):
    assert named_hazard(key, value) is None
