"""The shipped policies load, mean what they say, and broken ones are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from registry_gate.checks import CHECKS
from registry_gate.errors import UsageError
from registry_gate.policy import SHIPPED, load_policy, policies_folder


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_policies_name_only_checks_and_rules_that_exist(name: str) -> None:
    policy = load_policy(name)
    checks = {check.name for check in CHECKS}
    rules = {rule.id for check in CHECKS for rule in check.rules}
    required = {*policy.required_checks, *(n for task in policy.tasks.values() for n in task.required)}
    assert policy.name == name
    assert required <= checks
    assert set(policy.rules) <= rules


def test_rule_ids_and_check_names_are_unique() -> None:
    rules = [rule.id for check in CHECKS for rule in check.rules]
    names = [check.name for check in CHECKS]
    assert len(set(rules)) == len(rules)
    assert len(set(names)) == len(names)


def test_the_digest_covers_the_data_tables(tmp_path: Path) -> None:
    document = yaml.safe_load((policies_folder() / "default.yaml").read_text())
    table = yaml.safe_load((policies_folder() / "pickle-allow-list.yaml").read_text())
    table["globals"]["os"] = ["system"]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(table))
    document["pickle_allow_list"] = "list.yaml"
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(document))
    changed = load_policy(tmp_path / "policy.yaml")
    assert changed.pickle_allow_list.allows("os", "system")
    assert changed.digest() != load_policy("default").digest()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version: 1\nversion: 1\n", "duplicate key"),
        ("- 1\n", "not a mapping"),
        ("a: [1\n", "policy"),
        ("version: 1\nsurprise: 2\n", "surprise"),
        ("&a [*a]", "policy"),
        ("!!python/object/apply:os.system [true]", "python/object"),
    ],
)
def test_a_broken_policy_is_a_usage_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"(?s).*") as refused:
        load_policy(path)
    assert refused.value.code == "bad-policy"
    assert says in refused.value.message


def test_the_published_search_is_a_policys_choice_and_nothing_else_is(tmp_path: Path) -> None:
    document = yaml.safe_load((policies_folder() / "default.yaml").read_text())
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(document | {"mm_bd_profile": "paper"}))
    assert load_policy(path).mm_bd_profile == "paper"
    path.write_text(yaml.safe_dump(document | {"mm_bd_profile": "guesswork"}))
    with pytest.raises(UsageError) as refused:
        load_policy(path)
    assert "mm_bd_profile" in refused.value.message


def test_a_missing_policy_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load_policy(tmp_path / "none.yaml")
    assert refused.value.exit_code == 1
