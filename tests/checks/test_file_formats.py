import pytest

from registry_gate.candidate import SnapshotFile
from registry_gate.checks import custom_code, pickle_program, pickle_scanner
from registry_gate.checks import file_formats as check
from registry_gate.evidence import FileFormat, Problem
from registry_gate.finding import Severity, Status
from registry_gate.policy import load_policy
from tests.checks.files_evidence import evidence_of, facts_of, without_facts

POLICY = load_policy("default")


def judged(*files, policy=POLICY):
    return check.run(evidence_of(*files), policy)


def test_understood_and_allowed_files_pass():
    files = [
        facts_of("model.safetensors", FileFormat.SAFETENSORS),
        facts_of("pytorch_model.bin"),
        facts_of("README.md", FileFormat.TEXT),
        facts_of("logo.png", FileFormat.IMAGE),
        facts_of(".gitkeep", FileFormat.EMPTY),
        facts_of("a.yaml", FileFormat.YAML),
    ]
    result = judged(*files)
    assert result.status is Status.NO_FINDINGS
    assert result.measurements == {"files": 6, "understood": 6}


def test_without_facts_it_did_not_run():
    assert check.run(without_facts(), POLICY).status is Status.NOT_RUN


def test_no_files_and_files_nobody_read_are_findings():
    assert [item.rule for item in judged().findings] == ["no-files"]
    snapshot = (
        SnapshotFile(path="a", size=1, sha256="0" * 64),
        SnapshotFile(path="b", size=1, sha256="0" * 64),
    )
    evidence = evidence_of(facts_of("a")).model_copy(update={"snapshot": snapshot})
    found = check.run(evidence, POLICY).findings
    assert [(item.rule, item.location.file) for item in found] == [("file-not-read", "b")]


def test_silence_about_a_file_is_a_finding():
    found = judged(facts_of("a.json", FileFormat.JSON, understood=False)).findings
    assert [item.rule for item in found] == ["not-understood"]
    assert [item.rule for item in judged(facts_of("x", FileFormat.UNKNOWN, understood=False)).findings]
    assert [item.rule for item in judged(facts_of("x", FileFormat.UNKNOWN, understood=True)).findings]


def test_problems_that_no_check_knows_are_grave():
    problem = Problem(code="brand-new-problem", detail="x")
    found = judged(facts_of(problems=(problem,))).findings
    assert [(item.rule, item.severity) for item in found] == [("unknown-problem", Severity.HIGH)]


@pytest.mark.parametrize("rule", check.RULES)
def test_every_rule_can_be_stated_by_a_reader(rule):
    found = judged(facts_of(problems=(Problem(code=rule.id, detail="x", member="m"),))).findings
    assert [(item.rule, item.severity) for item in found] == [(rule.id, rule.severity)]


def test_problems_of_the_other_checks_are_left_to_them():
    for other in (pickle_program.CHECK, custom_code.CHECK):
        for rule in other.rules:
            assert not judged(facts_of(problems=(Problem(code=rule.id, detail="x"),))).findings


def test_rule_ids_belong_to_one_check_only():
    ids = [
        rule.id
        for module in (check, pickle_program, pickle_scanner, custom_code)
        for rule in module.CHECK.rules
    ]
    assert len(ids) == len(set(ids))


def test_weights_the_policy_does_not_carry_are_recorded():
    strict = POLICY.model_copy(update={"formats": (FileFormat.SAFETENSORS, FileFormat.JSON)})
    found = judged(
        facts_of("pytorch_model.bin"), facts_of("README.md", FileFormat.TEXT), policy=strict
    ).findings
    assert [(item.rule, item.severity) for item in found] == [("format-not-allowed", Severity.LOW)]


def test_recognised_format_off_the_list_is_doubtful():
    found = judged(facts_of("a.h5", FileFormat.HDF5)).findings
    assert [(item.rule, item.severity) for item in found] == [("format-not-allowed", Severity.MEDIUM)]


def test_hostile_paths_are_quoted():
    found = judged(facts_of("a\x1b[2J\n" + "x" * 900, FileFormat.UNKNOWN, understood=False)).findings
    assert found[0].message.isprintable() and len(found[0].message) < 400


def test_every_problem_code_in_the_readers_has_a_rule():
    """Read out of the source, so that a reader cannot state what no check judges."""
    import re
    from pathlib import Path

    import registry_gate.formats

    known = {
        rule.id
        for module in (check, pickle_program, pickle_scanner, custom_code)
        for rule in module.CHECK.rules
    }
    pattern = re.compile(
        r"""(?:code=|problem\(\s*|return \d?,? ?\[\(|append\(\(|\(\s*)"([a-z]+(?:-[a-z]+)+)"\s*,"""
    )
    folder = Path(registry_gate.formats.__file__).parent
    stated = {code for path in folder.glob("*.py") for code in pattern.findall(path.read_text())}
    assert stated - known <= {"utf-8", "latin-1"}
    assert len(stated & known) > 25
