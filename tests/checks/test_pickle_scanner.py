import pytest

from registry_gate.checks import pickle_scanner as check
from registry_gate.evidence import FileFormat, ScannerFacts
from registry_gate.finding import Severity, Status
from registry_gate.policy import load_policy
from tests.checks.files_evidence import evidence_of, facts_of, pickle_of, without_facts

POLICY = load_policy("default")
ORDERED = ("collections", "OrderedDict")


def scanned(status="complete", **more):
    return ScannerFacts(scanner="picklescan 1.0.5", status=status, **more)


def judged(*files):
    return check.run(evidence_of(*files), POLICY)


def test_agreement_is_silence():
    facts = facts_of(pickles=(pickle_of(ORDERED),), scanner=scanned())
    result = judged(facts, facts_of("README.md", FileFormat.TEXT))
    assert result.status is Status.NO_FINDINGS and result.measurements == {"files": 1}


def test_without_facts_it_did_not_run():
    assert check.run(without_facts(), POLICY).status is Status.NOT_RUN


def test_dangerous_is_critical():
    facts = facts_of(pickles=(pickle_of(("os", "system")),), scanner=scanned(dangerous=("os.system",)))
    assert [(item.rule, item.severity) for item in judged(facts).findings] == [
        ("picklescan-dangerous", Severity.CRITICAL)
    ]


@pytest.mark.parametrize("scanner", [None, scanned("error", detail="could not parse"), scanned("odd")])
def test_no_answer_is_no_clean_answer(scanner):
    facts = facts_of(pickles=(pickle_of(ORDERED),), scanner=scanner)
    assert [(item.rule, item.severity) for item in judged(facts).findings] == [
        ("scanner-error", Severity.HIGH)
    ]


def test_names_that_only_the_scanner_saw_are_grave():
    facts = facts_of(pickles=(pickle_of(ORDERED),), scanner=scanned(suspicious=("odd.name",)))
    found = judged(facts).findings
    assert [(item.rule, item.severity) for item in found] == [("scanner-disagreement", Severity.HIGH)]
    assert "'odd.name'" in found[0].message


def test_names_it_calls_clean_are_recorded():
    facts = facts_of(
        pickles=(pickle_of(("marshal", "loads")),), scanner=scanned(suspicious=("marshal.loads",))
    )
    assert [(item.rule, item.severity) for item in judged(facts).findings] == [
        ("scanner-disagreement", Severity.LOW)
    ]


def test_archives_that_are_not_carried_are_not_compared():
    facts = facts_of("a.npz", FileFormat.NUMPY, scanner=scanned(suspicious=("numpy.x",)))
    assert judged(facts).status is Status.NO_FINDINGS
    broken = facts_of("a.zip", FileFormat.ZIP, scanner=scanned("error"))
    assert [item.severity for item in judged(broken).findings] == [Severity.MEDIUM]
