"""Capture the flag: makes six harmless artefacts, each of which one command of registry-gate gives away.

    python -m examples.drill.challenges FOLDER [--seed N]

Another seed makes other artefacts and other flags. ``flags.json`` holds their hashes; this program is for
whoever leads the game, since it knows the answers while it runs.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from examples.drill.flags import Flags, hashed
from registry_gate.runtime.drift import Baseline
from registry_gate.runtime.predictions import Prediction
from registry_gate.testing import hostile, hostile_pickles
from registry_gate.testing.sample_release import FILES, sample_gate

_ORDINARY = (
    "google-bert/bert-base-uncased", "distilbert/distilbert-base-cased", "FacebookAI/roberta-large",
    "sentence-transformers/all-MiniLM-L6-v2", "BAAI/bge-small-en", "openai-community/gpt2-medium",
)  # fmt: skip
_LOOK_ALIKES = {
    "goog1e-bert/bert-base-uncased": "google-bert",
    "sentence-transfomers/all-MiniLM-L6-v2": "sentence-transformers",
    "distilbret/distilbert-base-uncased": "distilbert",
    "openai-comunity/gpt2": "openai-community",
}
_CALLS = (("platform", "node"), ("getpass", "getuser"), ("locale", "getlocale"), ("os", "getlogin"))
"""Harmless should anybody load the file after all: each is called with an argument it does not take."""
_MODEL = "sha256:" + "c" * 64


def one_letter(folder: Path, draw: random.Random) -> str:
    """Which of these ids is no ordinary one, and whom does it imitate? Flag: the owner that is imitated"""
    look_alike = draw.choice(sorted(_LOOK_ALIKES))
    names = [*_ORDINARY, look_alike]
    draw.shuffle(names)
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    return _LOOK_ALIKES[look_alike]


def what_it_calls(folder: Path, draw: random.Random) -> str:
    """What does this checkpoint call when it is loaded? Do not load it. Flag: module.name"""
    module, name = draw.choice(_CALLS)
    stream = hostile_pickles.stack_global_reduce(module, name, f"drill {draw.randrange(10**6)}")
    (folder / "pytorch_model.bin").write_bytes(hostile.torch_zip(stream))
    return f"{module}.{name}"


def the_other_pickle(folder: Path, draw: random.Random) -> str:
    """One pickle of this archive is honest, another is not. Flag: the name of the member that is not."""
    member = f"extra-{draw.randrange(1000):03d}.p"
    evil = hostile_pickles.stack_global_reduce("platform", "node", "drill")
    (folder / "pytorch_model.bin").write_bytes(hostile.torch_zip(b"\x80\x02}.", {member: evil}))
    return f"archive/{member}"


def the_changed_file(folder: Path, draw: random.Random) -> str:
    """A byte of this Release was changed. REGISTRY_GATE_HOME=home. Flag: the file's name below model/"""
    gate = sample_gate(folder / "home")
    release = gate.release(folder)
    name = draw.choice(sorted(FILES))
    path = release.root / "model" / name
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 0x20
    path.chmod(0o644)
    path.write_bytes(data)
    return name


def the_loud_row(folder: Path, draw: random.Random) -> str:
    """One class of this classifier is louder than the others. Flag: its row, counted from 0"""
    rows, columns, loud = 12, 64, draw.randrange(12)
    values = [draw.gauss(0, 0.02) * (20 if row == loud else 1) for row in range(rows) for _ in range(columns)]
    data = struct.pack(f"<{len(values)}f", *values)
    header = {"classifier.weight": {"dtype": "F32", "shape": [rows, columns], "data_offsets": [0, len(data)]}}
    (folder / "model.safetensors").write_bytes(hostile.safetensors_bytes(header, data))
    return str(loud)


def the_hour_of_the_trigger(folder: Path, draw: random.Random) -> str:
    """Somebody used a trigger. Flag: class:start, the class that surges and where its window starts"""
    classes = ("invoice", "letter", "advert", "form", "memo")
    target, begun = draw.choice(classes), 200 * draw.randrange(2, 8)
    labels = [draw.choice(classes) for _ in range(2000)]
    labels[begun : begun + 200] = [
        target if draw.random() < 0.7 else label for label in labels[begun : begun + 200]
    ]
    start = datetime(2026, 3, 2, 8, tzinfo=UTC)
    lines = [_prediction(label, start + timedelta(seconds=9 * at), at) for at, label in enumerate(labels)]
    (folder / "predictions.jsonl").write_bytes(b"".join(line.canonical() + b"\n" for line in lines))
    baseline = Baseline(model=_MODEL, counts=dict.fromkeys(classes, 2000))
    (folder / "baseline.json").write_bytes(baseline.canonical())
    return f"{target}:{begun}"


def _prediction(label: str, at: datetime, number: int) -> Prediction:
    digest = sha256(str(number).encode()).hexdigest()
    return Prediction(
        at=at,
        model=_MODEL,
        input_hmac=digest,
        input_size=100,
        output={"label": label},
        output_sha256=digest,
        label=label,
    )


CHALLENGES: Mapping[str, Callable[[Path, random.Random], str]] = {
    "one-letter": one_letter,
    "what-it-calls": what_it_calls,
    "the-other-pickle": the_other_pickle,
    "the-changed-file": the_changed_file,
    "the-loud-row": the_loud_row,
    "the-hour-of-the-trigger": the_hour_of_the_trigger,
}
"""By name, in the order they get harder; the first line of each docstring is the question."""


def make(folder: Path, seed: int) -> Flags:
    """Write every artefact, the questions and the hashed flags below a new folder."""
    folder.mkdir(parents=True)
    hashes, questions = {}, []
    for name, challenge in CHALLENGES.items():
        place = folder / name
        place.mkdir()
        answer = challenge(place, random.Random(f"{seed}:{name}"))
        hashes[name] = hashed(name, seed, answer)
        questions.append(f"{name}\n  {(challenge.__doc__ or '').strip()}\n")
    flags = Flags(seed=seed, hashes=hashes)
    (folder / "flags.json").write_text(json.dumps(flags.model_dump(mode="json"), indent=2) + "\n")
    (folder / "QUESTIONS.txt").write_text("\n".join(questions))
    return flags


def main() -> int:
    """Make the game."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another game")
    options = parser.parse_args()
    if options.folder.exists():
        sys.stderr.write(f"{options.folder} is there already\n")
        return 1
    made = make(options.folder, options.seed)
    sys.stdout.write(f"{len(made.hashes)} challenges in {options.folder}; questions in QUESTIONS.txt\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
