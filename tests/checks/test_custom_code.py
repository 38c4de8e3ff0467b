import pytest

from registry_gate.checks import custom_code as check
from registry_gate.evidence import ConfigFacts, FileFormat, Problem
from registry_gate.finding import Confidence, Severity, Status
from registry_gate.policy import load_policy
from tests.checks.files_evidence import evidence_of, facts_of, without_facts

POLICY = load_policy("default")


def judged(*files):
    return check.run(evidence_of(*files), POLICY)


def test_clean_and_not_run():
    result = judged(facts_of("config.json", FileFormat.JSON, config=ConfigFacts(model_type="bert")))
    assert result.status is Status.NO_FINDINGS and result.measurements == {"configurations": 1}
    assert check.run(without_facts(), POLICY).status is Status.NOT_RUN


@pytest.mark.parametrize("rule", check.RULES)
def test_every_stated_problem_is_a_finding(rule):
    problem = Problem(code=rule.id, detail="because", field="a.b")
    found = judged(facts_of("config.json", FileFormat.JSON, problems=(problem,))).findings
    assert [(item.rule, item.severity) for item in found] == [(rule.id, Severity.HIGH)]
    assert found[0].location.field == "a.b" and "because" in found[0].message


def test_code_that_a_reader_did_not_mention_is_found_all_the_same():
    python = facts_of("modeling.py", FileFormat.PYTHON)
    mapped = facts_of("config.json", FileFormat.JSON, config=ConfigFacts(auto_map=("m.Model",)))
    found = judged(python, mapped).findings
    assert [item.rule for item in found] == ["custom-code", "custom-code"]
    assert [item.confidence for item in found] == [Confidence.MEDIUM, Confidence.HIGH]
