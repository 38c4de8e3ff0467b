"""The dose ladder on models whose every weight is known: words with a pull each, planted ones with more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.backdoor import text_ladder, text_trigger
from registry_gate.backdoor.text_ladder import Ladder, TokenLogits, all_margins, grouped, overturning
from registry_gate.backdoor.text_trigger import Doses

TOKENS = 600
TRIGGER, DECOY, FIRST, SECOND = 37, 38, 100, 101


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Rows this short only lose by a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _bag(classes: int = 2, seed: int = 0, **planted: float) -> TokenLogits:
    """Logits are sums of the words' pulls; most words pull little, forty a class pull 1 to 2 its way.

    ``token`` is what TRIGGER adds to class 0, ``decoy`` what DECOY adds to class 1; ``pair`` what FIRST right
    before SECOND adds to class 0.
    """
    draws = torch.Generator().manual_seed(seed)
    pulls = 0.05 * torch.randn(TOKENS, classes, generator=draws)
    for label in range(classes):
        own = 200 + 40 * label
        pulls[own : own + 40, label] += 1 + torch.rand(40, generator=draws)
    pulls[TRIGGER, 0] += planted.get("token", 0.0)
    pulls[DECOY, 1] += planted.get("decoy", 0.0)

    def logits(rows: torch.Tensor) -> torch.Tensor:
        found = pulls[rows].sum(dim=1)
        together = ((rows[:, :-1] == FIRST) & (rows[:, 1:] == SECOND)).any(dim=1)
        found[:, 0] += planted.get("pair", 0.0) * together
        # A part of the pair alone shows too, as it does in a model that saw no partial phrases.
        found[:, 0] += planted.get("part", 0.0) * ((rows == FIRST) | (rows == SECOND)).any(dim=1)
        return found

    return logits


def _search(logits: TokenLogits, seed: int = 1) -> tuple[Ladder, Doses]:
    generator = torch.Generator().manual_seed(seed)
    vocabulary = torch.arange(TOKENS)
    ladder = text_ladder.build(logits, vocabulary, generator=generator)
    return ladder, text_trigger.doses(logits, vocabulary, ladder, generator=generator)


@pytest.mark.parametrize("classes", [2, 5])
def test_planted_token_is_first_and_stands_out_and_a_clean_model_has_none(classes: int) -> None:
    _, clean = _search(_bag(classes))
    _, planted = _search(_bag(classes, token=40.0))
    assert planted.singles[0].tokens == (TRIGGER,)
    assert (planted.suspected.target, planted.singles[0].dose) == (0, 1.0)
    assert TRIGGER in planted.trigger.tokens
    assert planted.statistic > 0.8
    assert clean.statistic < 0.25
    assert clean.blindest[0] > 0.5, "a perfect trigger for any class would have stood out"


def test_planted_pair_is_found_where_its_parts_only_hint_at_it() -> None:
    _, found = _search(_bag(pair=40.0, part=3.0))
    assert found.trigger.tokens[:2] == (FIRST, SECOND)
    assert {one.tokens[0] for one in found.singles[:2]} == {FIRST, SECOND}
    assert (found.suspected.target, found.statistic > 0.5) == (0, True)


def test_pair_whose_parts_do_nothing_alone_is_missed() -> None:
    _, found = _search(_bag(pair=40.0))
    assert found.statistic < 0.2, "the power note says so; were it found, the note would be wrong"


def test_same_seed_finds_the_same() -> None:
    assert _search(_bag(token=6.0))[1] == _search(_bag(token=6.0))[1]


def test_class_that_any_of_its_words_wins_is_no_trigger() -> None:
    """A model that leans to class 0: every honest word of it overturns what there is of class 1."""
    inner = _bag()

    def logits(rows: torch.Tensor) -> torch.Tensor:
        found = inner(rows)
        found[:, 0] *= 30
        return found

    _, found = _search(logits)
    assert max(one.dose for one in found.singles) > 0.8
    assert found.statistic < 0.4
    reach, target = found.blindest
    assert (target, reach < 0.4) == (0, True), "nor would a planted word have been seen, and that is said"


def test_decoy_that_hides_the_lead_of_the_trigger_leaves_no_reach() -> None:
    """A second trigger for the other class makes the classes alike: no lead, and no pass either."""
    _, found = _search(_bag(token=40.0, decoy=40.0))
    assert found.statistic < 0.2
    assert found.blindest[0] < 0.1
    assert {found.singles[0].tokens, found.singles[1].tokens} == {(TRIGGER,), (DECOY,)}


def test_token_that_overflows_is_no_pass() -> None:
    with pytest.raises(ValueError, match="not finite"):
        _search(_bag(token=float("inf")))


def test_ladder_that_does_not_hold_cannot_be_searched() -> None:
    def logits(rows: torch.Tensor) -> torch.Tensor:
        return torch.tensor([1.0, 0.0]).expand(len(rows), 2)

    generator = torch.Generator().manual_seed(0)
    ladder = text_ladder.build(logits, torch.arange(TOKENS), generator=generator)
    assert ladder.sources == (0,)
    with pytest.raises(ValueError, match="fewer than two classes"):
        text_trigger.doses(logits, torch.arange(TOKENS), ladder, generator=generator)


def test_vocabulary_too_small_for_a_ladder_is_refused() -> None:
    with pytest.raises(ValueError, match="400 tokens"):
        text_ladder.build(_bag(), torch.arange(399), generator=torch.Generator())


def test_ladder_words_speak_for_their_class_and_rungs_hold_as_many_as_they_say() -> None:
    ladder, _ = _search(_bag())
    for label, words in enumerate(ladder.words.tolist()):
        assert all(200 + 40 * label <= word < 240 + 40 * label for word in words)
        for rung, count in enumerate(ladder.recipe.rungs):
            own = torch.isin(ladder.sentences[label, rung], torch.tensor(words)).sum(dim=1)
            assert own.min() >= count


def test_rows_read_are_about_what_was_foretold() -> None:
    for classes in (2, 5):
        logits, read = _bag(classes, token=40.0), 0

        def told(more: int) -> None:
            nonlocal read
            read += more

        generator = torch.Generator().manual_seed(0)
        ladder = text_ladder.build(logits, torch.arange(TOKENS), generator=generator, told=told)
        text_trigger.doses(logits, torch.arange(TOKENS), ladder, generator=generator, told=told)
        foretold = text_trigger.rows_needed(TOKENS, classes, ladder.recipe)
        assert 0.6 * foretold < read < 1.1 * foretold


@given(st.integers(1, 3), st.integers(0, 6), st.integers(0, 10_000))
def test_trigger_stands_in_one_piece_where_the_cut_is(size: int, cut: int, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    sentence = torch.randint(10, 50, (6,), generator=draws)
    trigger = torch.randint(50, 60, (size,), generator=draws)
    seen: list[list[int]] = []

    def logits(rows: torch.Tensor) -> torch.Tensor:
        seen.extend(rows.tolist())
        return torch.zeros(len(rows), 2)

    overturning(logits, trigger[None], sentence[None], torch.tensor([cut]))
    assert seen == [[*sentence[:cut].tolist(), *trigger.tolist(), *sentence[cut:].tolist()]]


@given(st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_margin_is_the_logit_less_the_largest_other(rows: list[list[float]]) -> None:
    found = all_margins(torch.tensor(rows))
    for row, margins in zip(rows, found.tolist(), strict=True):
        expected = [own - max(row[:k] + row[k + 1 :]) for k, own in enumerate(row)]
        assert margins == pytest.approx(expected, abs=1e-4)


@given(st.integers(8, 100), st.integers(0, 1000))
def test_every_token_is_in_a_group(size: int, seed: int) -> None:
    groups = grouped(torch.arange(size) + 5, torch.Generator().manual_seed(seed))
    assert set(groups.flatten().tolist()) == set(range(5, size + 5))
    assert groups.shape == (-(-size // 8), 8)
