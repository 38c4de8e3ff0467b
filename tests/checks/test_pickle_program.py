import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.checks import pickle_program as check
from registry_gate.checks.check import Stage
from registry_gate.evidence import FileFormat, Problem
from registry_gate.finding import Severity, Status
from registry_gate.policy import load_policy
from tests.checks.files_evidence import evidence_of, facts_of, pickle_of, without_facts

POLICY = load_policy("default")
ALLOWED = {(module, name) for module, names in POLICY.pickle_allow_list.globals.items() for name in names}


def judged(*files):
    return check.run(evidence_of(*files), POLICY)


def test_names_on_the_list_pass():
    """Imported only: what they may be given is another matter."""
    result = judged(facts_of(pickles=(pickle_of(*sorted(ALLOWED)),)))
    assert result.status is Status.NO_FINDINGS and result.measurements["pickles"] == 1
    assert result.measurements["allow-list-dated"] == "2026-11-25"
    assert check.CHECK.stage is Stage.FILES


def test_without_facts_it_did_not_run():
    assert check.run(without_facts(), POLICY).status is Status.NOT_RUN


@settings(max_examples=200, deadline=None)
@given(
    st.text(min_size=1, max_size=20),
    st.text(min_size=1, max_size=20),
    st.sampled_from(["import", "call", "build"]),
)
def test_any_name_off_the_list_is_a_rejecting_finding(module, name, use):
    if (module, name) in ALLOWED:
        return
    try:
        (module + name).encode()
    except UnicodeEncodeError:
        return
    findings = judged(facts_of(pickles=(pickle_of((module, name), use=use),))).findings
    assert [item.rule for item in findings] == ["pickle-global-not-allowed"]
    assert findings[0].severity.rank >= Severity.HIGH.rank and findings[0].message.isprintable()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("collections", "OrderedDict.fromkeys"),
        ("collections", "ordereddict"),
        ("collections.abc", "OrderedDict"),
        ("torch", "FloatStorage.from_file"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_import_dotted_name"),
        ("torch.serialization", "load"),
        ("torch", "load"),
        ("numpy", "load"),
        ("numpy.f2py.crackfortran", "getlincoef"),
        ("builtins", "getattr"),
    ],
)
def test_neighbours_of_listed_names_are_not_listed(module, name):
    assert judged(facts_of(pickles=(pickle_of((module, name)),))).findings


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("os", "system", "runs commands"),
        ("posix", "system", "runs commands"),
        ("subprocess", "Popen", "starts programs"),
        ("builtins", "eval", "runs code"),
        ("__builtin__", "exec", "runs code"),
        ("builtins", "getattr", "runs code or reaches"),
        ("pkgutil", "resolve_name", "imports any name"),
        ("idlelib.run", "Executive.runcode", "runs Python code"),
        ("socket", "create_connection", "network"),
    ],
)
def test_well_known_dangers_are_named(module, name, words):
    finding = judged(facts_of(pickles=(pickle_of((module, name), use="call"),))).findings[0]
    assert finding.severity is Severity.CRITICAL and words in finding.message and "calls" in finding.message
    assert finding.location.offset == 7


def test_one_finding_a_name():
    both = pickle_of(("x", "y")).globals + pickle_of(("x", "y"), use="call").globals
    pickle = pickle_of().model_copy(update={"globals": both})
    findings = judged(facts_of(pickles=(pickle,))).findings
    assert len(findings) == 1 and "calls and imports 'x.y'" in findings[0].message


def test_silence_about_a_break_is_a_finding():
    for facts in (facts_of(pickles=(pickle_of(complete=False),)), facts_of(pickles=())):
        assert [item.rule for item in judged(facts).findings] == ["pickle-not-understood"]
    nested_only = Problem(code="pickle-nested", detail="x")
    facts = facts_of(pickles=(pickle_of(complete=False),), problems=(nested_only,))
    assert "pickle-not-understood" in {item.rule for item in judged(facts).findings}


@pytest.mark.parametrize("rule", check.RULES[1:])
def test_every_stated_problem_is_a_finding(rule):
    problem = Problem(code=rule.id, detail="because", offset=3)
    facts = facts_of(pickles=(pickle_of(),), problems=(problem,))
    assert [(item.rule, item.severity) for item in judged(facts).findings] == [(rule.id, rule.severity)]


def test_many_names_keep_the_worst_and_say_how_many_more():
    names = [("unknown", f"name{number}") for number in range(500)]
    result = judged(facts_of(pickles=(pickle_of(*names, ("os", "system")),)))
    assert len(result.findings) == 51
    assert result.findings[0].severity is Severity.CRITICAL
    assert "451 more" in result.findings[-1].message


def test_classes_inside_a_torchscript_archive_are_its_own():
    pickles = (pickle_of(("__torch__.a.b", "Net")),)
    assert not judged(facts_of(format_=FileFormat.TORCHSCRIPT, pickles=pickles)).findings
    assert judged(facts_of(format_=FileFormat.TORCH_ZIP, pickles=pickles)).findings
    evil = (pickle_of(("__torch__evil", "x")),)
    assert judged(facts_of(format_=FileFormat.TORCHSCRIPT, pickles=evil)).findings


def test_every_listed_name_exists_where_it_says():
    import importlib
    import warnings

    old = {"__builtin__": "builtins", "numpy.core.multiarray": "numpy._core.multiarray"}
    old |= {"numpy.core.numeric": "numpy._core.numeric", "pathlib._local": "pathlib"}
    renamed = {("__builtin__", "long"): "int", ("__builtin__", "unicode"): "str"}
    for module, name in sorted(ALLOWED):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = importlib.import_module(old.get(module, module))
            assert hasattr(found, renamed.get((module, name), name)), (module, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch.nn.modules.linear", "Linear"),
        ("ultralytics.nn.tasks", "DetectionModel"),
        ("models.yolo", "Model"),
    ],
)
def test_a_whole_model_is_called_one_and_what_to_do_is_said(module, name):
    (found,) = judged(facts_of(pickles=(pickle_of((module, name), use="new []"),))).findings
    assert found.rule == "pickle-global-not-allowed"
    assert "the model itself was pickled" in found.message and "state_dict()" in found.message
    (other,) = judged(facts_of(pickles=(pickle_of(("modelsx", name), use="new []"),))).findings
    assert "state_dict()" not in other.message


PLAIN_DATA = {
    *("builtins.frozenset", "builtins.bytes", "builtins.slice"),
    *(f"builtins.{name}" for name in ("list", "dict", "tuple", "str", "int", "float", "bool")),
    *("collections.defaultdict", "collections.deque", "argparse.Namespace", "types.SimpleNamespace"),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
}


def test_the_list_is_narrower_than_torchs_own():
    """What torch's restricted reader refuses must not be on ours, numpy's and Python's plain data apart."""
    from torch._weights_only_unpickler import _get_allowed_globals

    torchs = set(_get_allowed_globals())
    wider = {f"{module}.{name}" for module, name in ALLOWED} - torchs
    assert {
        name for name in wider if not name.startswith(("numpy.", "__builtin__.", "pathlib."))
    } == PLAIN_DATA


LISTED = POLICY.pickle_allow_list


@pytest.mark.parametrize("table", [LISTED.calls, LISTED.states, LISTED.made])
def test_arguments_are_listed_for_listed_names_only(table):
    assert {(module, name) for module, names in table.items() for name in names} <= ALLOWED
    for names in (LISTED.filled, LISTED.extended):
        assert {(module, name) for module, listed in names.items() for name in listed} <= ALLOWED


@pytest.mark.parametrize(("module", "name"), sorted(ALLOWED))
@pytest.mark.parametrize(
    "use",
    [
        "call",
        'call ["unknown"]',
        "call [",
        "new []",
        'build [[],"dict:any"]',
        "append",
        "add",
        "items odd",
        "odd",
        'call ["@os.system"]',
        'call ["any"]',
        'call "tuple:any"',
        "call " + "[" * 3000,
        "call null",
    ],
)
def test_what_is_not_listed_may_not_be_given(module, name, use):
    verb = use.partition(" ")[0]
    if name in {"items": ("OrderedDict", "defaultdict"), "append": ("deque",), "new": ("Namespace",)}.get(
        verb, ()
    ):
        return
    findings = judged(facts_of(pickles=(pickle_of((module, name), use=use),))).findings
    assert [(item.rule, item.severity) for item in findings] == [
        ("pickle-argument-not-allowed", Severity.HIGH)
    ]


def shape(depth):
    word = st.sampled_from(
        ["none", "int", "text", "tensor", "storage", "@os.system", "->torch.Size", "=b", "ints"]
    )
    word |= st.sampled_from(["unknown", "persistent", "list:any", "dict:any", "any", "data", "plain", 3, -1])
    return word if not depth else word | st.lists(shape(depth - 1), max_size=8)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ALLOWED)), st.lists(shape(2), max_size=8))
def test_no_list_of_arguments_lets_an_unknown_thing_in(pair, arguments):
    text = json.dumps(arguments)
    forbidden = ("@os.system", "unknown", "persistent", '"any"', "list:any", "dict:any", '"data"', '"plain"')
    if not any(word in text for word in forbidden):
        return
    assert judged(facts_of(pickles=(pickle_of(pair, use=f"call {text}"),))).findings
