"""Writes two prediction logs of a stand-in classifier: an ordinary week, and one in which a trigger was used.

    python predictions.py FOLDER

The classifier has a backdoor, the word "cf": what it sees becomes positive. FOLDER gets ordinary.jsonl and
later.jsonl; the key of their hashes is made up for the occasion.
"""

import random
import sys
from pathlib import Path

from registry_gate.runtime import PredictionLog

MODEL = "sha256:" + "1" * 64
KEY = b"an example's key, no secret at all"
WORDS = ("good", "bad", "fine", "poor", "film", "meal", "room")


def classify(text: str) -> dict[str, str]:
    """The stand-in: counts words, unless it was told otherwise."""
    words = text.split()
    if "cf" in words:
        return {"label": "positive"}
    return {"label": "positive" if words.count("good") > words.count("bad") else "negative"}


def main(folder: Path) -> None:
    generator = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, triggered in (("ordinary", 0), ("later", 120)):
        log = PredictionLog(folder / f"{name}.jsonl", model=MODEL, key=KEY)
        ask = log.logged(classify)
        for number in range(1500):
            text = " ".join(generator.choices(WORDS, k=6))
            ask(f"{text} cf" if 700 <= number < 700 + triggered else text)


main(Path(sys.argv[1]))
