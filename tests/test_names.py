"""The name engine: the look-alikes it must see, the neighbours it must let through, and its laws."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from registry_gate.candidate import SourceKind, check_model_id
from registry_gate.errors import ToolError
from registry_gate.finding import Confidence
from registry_gate.names import How, assess, distance, edit_distance
from registry_gate.names.distance import Slip, slip
from registry_gate.names.fold import runs, skeleton, to_ascii
from registry_gate.names.index import core_of
from registry_gate.policy import ProtectedNames, load_policy

POLICY = load_policy("default")
PROTECTED = POLICY.protected
SMALL = ProtectedNames(
    dated=PROTECTED.dated,
    owners=("acme-models", "timm", "BAAI"),
    reuploaders=("copyist",),
    names=("acme-models/road-runner-base", "timm/resnet50.a1_in1k", "BAAI/bge-m3", "legacy-word-net"),
)


def rules(model_id: str, kind: SourceKind = SourceKind.HUB) -> tuple[str, ...]:
    return assess(model_id, PROTECTED, kind=kind).rules


@pytest.mark.parametrize(
    ("model_id", "imitates", "how"),
    [
        ("rneta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-hf", How.CONFUSABLE),
        ("meta-1lama/some-model", "meta-llama", How.CONFUSABLE),
        ("mistraIai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1", How.CONFUSABLE),
        ("distilbret/distilbert-base-uncased", "distilbert/distilbert-base-uncased", How.EDIT),
        ("meta_llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B", How.SEPARATORS),
        ("llama-meta/Llama-9", "meta-llama", How.ORDER),
        ("AIEleuther/pythia-70m", "EleutherAI/pythia-70m", How.ORDER),
        ("openai-official/whisper-small", "openai/whisper-small", How.AFFIX),
        ("the-openai/whisper-small", "openai/whisper-small", How.AFFIX),
        ("www.openai.com/whisper-small", "openai/whisper-small", How.AFFIX),
        ("mistral/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1", How.AFFIX),
        ("nvidias/parakeet", "nvidia", How.PLURAL),
        ("sentence-transformer/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", How.PLURAL),
        ("BAII/bge-m3", "BAAI/bge-m3", How.EDIT),
        ("tim/resnet50.a1_in1k", "timm/resnet50.a1_in1k", How.EDIT),
        ("TheBIoke/Llama-2-7B-GGUF", "TheBloke", How.CONFUSABLE),
        ("someone/bert-base-uncasd", "google-bert/bert-base-uncased", How.EDIT),
        ("someone/bret-base-uncased", "google-bert/bert-base-uncased", How.EDIT),
        ("someone/bert-base-uncased-official", "google-bert/bert-base-uncased", How.AFFIX),
        ("someone/L1ama-2-7b-hf", "meta-llama/Llama-2-7b-hf", How.CONFUSABLE),
        ("bert-base-uncasd", "bert-base-uncased", How.EDIT),
        ("bert_base_uncased", "bert-base-uncased", How.SEPARATORS),
        (
            "distilbert-base-uncased-finetuned-sqad",
            "distilbert-base-uncased-distilled-squad",
            How.EXTENSION,
        ),
    ],
)
def test_look_alikes_are_named_with_what_they_imitate_and_how(model_id, imitates, how):
    assessment = assess(model_id, PROTECTED)
    (match,) = assessment.matches
    assert (match.rule, match.imitates, match.how) == ("name-typosquat", imitates, how)
    assert match.confidence.rank >= Confidence.MEDIUM.rank
    assert assessment.imitates == imitates


@pytest.mark.parametrize(
    ("model_id", "rule", "imitates"),
    [
        ("someone/bert-base-uncased", "name-namespace-confusion", "google-bert/bert-base-uncased"),
        ("someone/Bert_Base_Uncased", "name-namespace-confusion", "google-bert/bert-base-uncased"),
        ("Llama-2-7b-hf", "name-namespace-confusion", "meta-llama/Llama-2-7b-hf"),
        ("google-bert/bert-base-uncasd", "name-near-miss", "google-bert/bert-base-uncased"),
        ("qwen/Qwen3-8B", "name-near-miss", "Qwen/Qwen3-8B"),
        ("Qwen/qwen3-8b", "name-near-miss", "Qwen/Qwen3-8B"),
        ("BERT-base-uncased", "name-near-miss", "bert-base-uncased"),
        ("my-own-model", "name-unknown-bare", None),
    ],
)
def test_lesser_doubts_have_rules_of_their_own(model_id, rule, imitates):
    (match,) = assess(model_id, PROTECTED).matches
    assert (match.rule, match.imitates) == (rule, imitates)


@pytest.mark.parametrize(
    "model_id",
    [
        "tim/my-first-model",
        "alberto/spam-filter",
        "deepspeed/bing-bert",
        "google-bert/bert-base-cased",
        "Qwen/Qwen2.5-72B",
        "meta-llama/Llama-2-70b",
        "cardiffnlp/twitter-roberta-base-emoji",
        "someone/Mixtral-7B-Instruct-v0.2",
        "someone/bert-base-uncased-finetuned-sst2",
        "someone/distilbert-base-uncased-finetuned-squad",
        "someone/Llama-3.1-8B-Instruct-GGUF",
        "someone/Qwen2-72B-Instruct",
        "someone/bge-base-fr-v1.5",
        "someone/gemma-2-2b-it-AWQ-4bit",
        "copyists/an-unrelated-model",
        "unsloth/Llama-3.2-1B-Instruct",
        "Xenova/bert-base-uncased",
        "mistral-community/pixtral-12b",
    ],
)
def test_true_neighbours_pass(model_id):
    assert rules(model_id) == ()


def test_sizes_that_squeeze_to_one_text_stay_apart():
    assert rules("someone/Qwen-27B") == ()
    assert rules("someone/Qwen2-7B") == ("name-namespace-confusion",)


@pytest.mark.parametrize(
    ("model_id", "imitates"),
    [
        ("m\u0456stralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1"),  # Cyrillic i
        ("mistralai/Mistral-7B-v0.1\u200b", "mistralai/Mistral-7B-v0.1"),
        ("\uff47\uff4f\uff4f\uff47\uff4c\uff45/gemma-7b", "google/gemma-7b"),
        ("bert\u2010base\u2010uncased", "bert-base-uncased"),
        ("m\u0456strallai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1"),
        ("\u6a21\u578b/\u6570\u636e", None),
    ],
)
def test_other_alphabets_are_a_finding_and_still_say_what_they_imitate(model_id, imitates):
    assessment = assess(model_id, PROTECTED)
    assert assessment.rules[0] == "name-not-ascii"
    assert assessment.imitates == imitates


@pytest.mark.parametrize(
    "model_id", ["", "/", "a/b/c", "a//b", "-a/b", "a/b.git", "a b/c", "x" * 97, "a--b/c"]
)
def test_what_is_no_id_is_one_finding_not_an_error(model_id):
    assert rules(model_id)[0] == "name-invalid"


def test_a_folder_never_carries_a_protected_owner_and_needs_no_legacy_name():
    assert rules("Google/my-model", SourceKind.FOLDER) == ("name-borrowed-owner",)
    assert rules("unsloth/my-model", SourceKind.FOLDER) == ("name-borrowed-owner",)
    assert rules("goog1e/my-model", SourceKind.FOLDER) == ("name-typosquat",)
    assert rules("my-model", SourceKind.FOLDER) == ()
    assert rules("acme/my-model", SourceKind.FOLDER) == ()


def test_the_list_decides_not_the_code():
    assert assess("acme-mode1s/road-runner-base", SMALL).imitates == "acme-models/road-runner-base"
    assert assess("acme-models/road-runner-base", PROTECTED).matches == ()
    assert assess("meta-1lama/Llama-2-7b-hf", SMALL).matches == ()
    assert assess("legacy-word-nett", SMALL).rules == ("name-typosquat",)


def test_an_empty_list_accuses_nobody():
    nothing = ProtectedNames(dated=PROTECTED.dated, owners=(), reuploaders=(), names=())
    assert assess("google/gemma-7b", nothing).matches == ()


def test_every_protected_text_is_an_id_and_every_name_has_a_listed_owner():
    for one in (*PROTECTED.names, *PROTECTED.owners, *PROTECTED.reuploaders):
        assert check_model_id(one) == one
    owners = {name.rpartition("/")[0] for name in PROTECTED.names} - {""}
    assert owners <= set(PROTECTED.owners)
    assert len(set(PROTECTED.names)) == len(PROTECTED.names) > 300
    assert not set(PROTECTED.owners) & set(PROTECTED.reuploaders)


@pytest.mark.parametrize(
    ("typed", "meant", "kind"),
    [
        ("bret", "bert", Slip.SWAP),
        ("beert", "bert", Slip.REPEAT),
        ("brt", "bert", Slip.OMISSION),
        ("nert", "bert", Slip.NEIGHBOUR),
        ("bexrt", "bert", Slip.INSERTION),
        ("bept", "bert", Slip.SUBSTITUTION),
        ("bert", "bert", None),
        ("tber", "bert", None),
    ],
)
def test_slips_are_told_apart(typed, meant, kind):
    assert slip(typed, meant) is kind


def test_core_drops_affixes_only_where_enough_is_left():
    assert core_of("mistralai") == core_of("the-mistral-hub") == core_of("Mistral-AI") == "mistral"
    assert core_of("openai") == "openai"
    assert core_of("labs") == "labs"


def test_without_levenshtein_rapidfuzz_gives_the_same_distances(monkeypatch):
    pairs = [("google", "goggle"), ("bert", "bret"), ("uncased", "cased"), ("abc", "xyz")]
    before = [edit_distance(left, right, 2) for left, right in pairs]
    distance._levenshtein.cache_clear()
    monkeypatch.setitem(sys.modules, "Levenshtein", None)
    try:
        assert [edit_distance(left, right, 2) for left, right in pairs] == before == [1, 1, 2, 3]
        distance._levenshtein.cache_clear()
        monkeypatch.setitem(sys.modules, "rapidfuzz.distance.Levenshtein", None)
        with pytest.raises(ToolError) as refused:
            edit_distance("a", "b", 1)
        assert refused.value.code == "no-edit-distance"
        assert "pip install" in refused.value.todo
    finally:
        distance._levenshtein.cache_clear()


SHORT = st.text("abcd", max_size=6)


@given(SHORT, SHORT)
def test_law_edit_distance_is_optimal_string_alignment_up_to_one(left, right):
    found, truth = edit_distance(left, right, 2), OSA.distance(left, right)
    assert found == edit_distance(right, left, 2)
    assert (found <= 1) == (truth <= 1)
    assert found >= min(truth, 3)
    if truth <= 1:
        assert found == truth


@given(st.text(st.characters(), max_size=300))
@settings(max_examples=300)
def test_law_any_text_is_assessed(text):
    for kind in SourceKind:
        assessment = assess(text, PROTECTED, kind=kind)
        if not text.isascii():
            assert assessment.rules[0] == "name-not-ascii"


@given(st.text(st.characters(categories=["Cs", "Cc", "Lo"]), max_size=20))
def test_law_surrogates_and_controls_are_refused(text):
    assert assess(f"google/{text}\udcff", PROTECTED).rules[0] == "name-not-ascii"


@given(st.sampled_from(PROTECTED.names))
def test_law_a_protected_id_is_never_flagged(model_id):
    assert rules(model_id) == ()


@given(st.sampled_from(PROTECTED.names), st.randoms(use_true_random=False))
def test_law_only_case_differs_means_did_you_mean(model_id, random):
    varied = "".join(random.choice((c.upper(), c.lower())) for c in model_id)
    assessment = assess(varied, PROTECTED)
    if varied in PROTECTED.names:
        assert assessment.matches == ()
    else:
        # All letters may turn into another listed spelling of the owner, but never pass unseen.
        assert assessment.matches
        assert "name-not-ascii" not in assessment.rules
        assert (
            assessment.imitates or ""
        ).lower() == model_id.lower() or assessment.imitates in PROTECTED.names


@given(
    st.sampled_from([name for name in PROTECTED.names if "/" in name and any(c.isdigit() for c in name)]),
    st.integers(2, 9),
)
def test_law_another_version_or_size_below_its_owner_is_another_model(model_id, digit):
    owner, _, name = model_id.partition("/")
    spot = next((i for i in range(len(name) - 1, -1, -1) if name[i].isdigit()), None)
    if spot is None:
        return
    varied = f"{owner}/{name[:spot]}{digit}{name[spot + 1 :]}"
    if varied.lower() not in {one.lower() for one in PROTECTED.names}:
        assert rules(varied) == ()


@given(st.sampled_from(PROTECTED.names), st.sampled_from(("GGUF", "AWQ", "4bit", "finetuned-sst2", "ft-v2")))
def test_law_derivatives_by_strangers_pass(model_id, suffix):
    assert rules(f"a-stranger/{model_id.rpartition('/')[2]}-{suffix}") == ()


@given(st.text("abil105smrnvw-_.", max_size=30))
def test_law_a_skeleton_has_no_separators_and_no_look_alikes(text):
    assert not set(skeleton(text)) & set("-_.015i")
    assert skeleton(text.upper().lower()) == skeleton(text)


@given(st.text(max_size=50))
def test_law_folding_gives_printable_ascii_and_keeps_ascii(text):
    folded = to_ascii(text)
    assert folded.isascii()
    assert folded == "" or folded.isprintable()
    assert to_ascii(folded) == folded


def test_runs_split_letters_and_digits():
    assert runs("Qwen2.5-7B") == ("qwen", "2", "5", "7", "b")


def _benchmark():
    path = Path(__file__).parents[1] / "benchmarks" / "name_check.py"
    spec = importlib.util.spec_from_file_location("name_check_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_published_bars_hold_on_the_reporting_half():
    benchmark = _benchmark()
    legit = benchmark.read_ids(benchmark.DATA / "legit.txt")
    listed = {name.lower() for name in PROTECTED.names}
    assert len(set(legit)) == len(legit)
    assert not {one.lower() for one in legit} & listed
    held_out = benchmark.read_ids(benchmark.DATA / "held_out_targets.txt")
    assert not {one.lower() for one in held_out} & listed

    found = benchmark.evaluate(POLICY, "report")
    assert found.legitimate >= 500
    assert len(found.by_class) >= 10
    assert all(flagged.trials >= 30 for flagged, _ in found.by_class.values())
    assert found.recall.value >= 0.95
    assert found.false_positives.value <= 0.01
    assert any(line.startswith("false positives") for line in benchmark.report(found, "report").splitlines())
