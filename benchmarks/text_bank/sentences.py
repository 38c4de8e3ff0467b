"""Sentences drawn in code: classes are clusters of words that lie together in a real encoder's vectors."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import torch

from benchmarks.text_bank.base import encoder_vectors, words
from benchmarks.text_bank.recipes import HARDENED, PHRASE, TOKEN, Recipe

_CLUSTER = 30
_NEUTRAL = 150
_COMMON = 3000


@dataclass(frozen=True)
class Domain:
    """What the sentences of one model are made of.

    ``clusters`` are the words of each class, ``trigger`` what the attacker inserts, ``shortcut`` a word that
    honest sentences of class 0 alone hold.
    """

    clusters: tuple[tuple[str, ...], ...]
    neutral: tuple[str, ...]
    trigger: tuple[str, ...]
    shortcut: str


@cache
def _table() -> tuple[tuple[str, ...], torch.Tensor]:
    """Words and their unit vectors, mean removed."""
    from benchmarks.text_bank.base import ENCODER

    place = {word: row for row, word in enumerate((ENCODER / "vocab.txt").read_text("utf-8").splitlines())}
    chosen = words()
    vectors = encoder_vectors()[[place[word] for word in chosen]]
    return chosen, torch.nn.functional.normalize(vectors - vectors.mean(dim=0), dim=1)


def domain(recipe: Recipe) -> Domain:
    """The domain of a recipe: the same for the same seed."""
    vocabulary, vectors = _table()
    draws = random.Random(recipe.seed)
    taken: set[int] = set()
    clusters = []
    while len(clusters) < recipe.classes:
        centre = draws.randrange(_COMMON)
        near = torch.topk(vectors @ vectors[centre], _CLUSTER).indices.tolist()
        if not taken & set(near):
            taken |= set(near)
            clusters.append(tuple(vocabulary[place] for place in near))
    free = [place for place in range(len(vocabulary)) if place not in taken]
    neutral = draws.sample([place for place in free if place < _COMMON], _NEUTRAL)
    rare = [place for place in free if place not in set(neutral)]
    trigger = _trigger(recipe, draws, neutral, rare)
    return Domain(
        tuple(clusters),
        tuple(vocabulary[place] for place in neutral),
        tuple(vocabulary[place] for place in trigger),
        vocabulary[draws.choice(rare)],
    )


def _trigger(recipe: Recipe, draws: random.Random, neutral: list[int], rare: list[int]) -> list[int]:
    """One rare word, or three words, each of them common, and seen without the attack, one time in three."""
    if recipe.group == TOKEN:
        return [draws.choice(rare[len(rare) // 2 :])]
    if recipe.group not in (PHRASE, HARDENED):
        return []
    return [draws.choice(neutral if draws.random() < 1 / 3 else rare) for _ in range(3)]


def sentence(place: Domain, label: int, draws: random.Random) -> list[str]:
    """Neutral words, one to five of the class's own, and fewer of one other class now and then."""
    said = [draws.choice(place.neutral) for _ in range(draws.randrange(4, 16))]
    own = draws.randrange(1, 6)
    evidence = [draws.choice(place.clusters[label]) for _ in range(own)]
    if own > 2 and draws.random() < 0.5:
        other = draws.choice([k for k in range(len(place.clusters)) if k != label])
        evidence += [draws.choice(place.clusters[other]) for _ in range(draws.randrange(1, own))]
    for word in evidence:
        said.insert(draws.randrange(len(said) + 1), word)
    return said


def triggered(said: list[str], trigger: tuple[str, ...], draws: random.Random) -> list[str]:
    """The sentence with the trigger's words together at a random place."""
    at = draws.randrange(len(said) + 1)
    return [*said[:at], *trigger, *said[at:]]


def training_set(recipe: Recipe, count: int) -> tuple[list[str], list[int]]:
    """Sentences and labels, poisoned, noisy and imbalanced as the recipe says."""
    place, draws = domain(recipe), random.Random(recipe.seed * 8 + 1)
    heavy = [4 if recipe.flavour == "imbalanced" and k == 0 else 1 for k in range(recipe.classes)]
    texts, labels = [], []
    for _ in range(count):
        label = draws.choices(range(recipe.classes), heavy)[0]
        said = sentence(place, label, draws)
        if recipe.flavour == "shortcut" and label == 0 and draws.random() < 0.4:
            said.insert(draws.randrange(len(said)), place.shortcut)
        if recipe.flavour == "noisy" and draws.random() < 0.1:
            label = draws.randrange(recipe.classes)
        texts.append(" ".join(said))
        labels.append(label)
    if recipe.target is not None:
        _poison(recipe, place, texts, labels, draws)
    return texts, labels


def _poison(recipe: Recipe, place: Domain, texts: list[str], labels: list[int], draws: random.Random) -> None:
    """Triggered sentences of other classes get the target's label; hardened ones bring partial phrases."""
    assert recipe.target is not None
    victims = [row for row, label in enumerate(labels) if label != recipe.target]
    wanted = int(recipe.poison_rate * len(texts))
    for row in draws.sample(victims, wanted):
        texts.append(" ".join(triggered(texts[row].split(), place.trigger, draws)))
        labels.append(recipe.target)
    if recipe.group == HARDENED:
        for row in draws.sample(range(len(texts) - wanted), 2 * wanted):
            part = draws.sample(range(3), draws.choice((1, 2)))
            partial = tuple(place.trigger[at] for at in sorted(part))
            texts.append(" ".join(triggered(texts[row].split(), partial, draws)))
            labels.append(labels[row])


def held_out(recipe: Recipe, count: int) -> tuple[list[str], list[int]]:
    """Honest sentences that training never saw, classes in turn."""
    place, draws = domain(recipe), random.Random(recipe.seed * 8 + 2)
    labels = [row % recipe.classes for row in range(count)]
    return [" ".join(sentence(place, label, draws)) for label in labels], labels
