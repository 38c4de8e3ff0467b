"""Every case of the hostile corpus is refused, family by family, and none of them runs."""

import subprocess
import sys
from collections import Counter

import pytest

from registry_gate.decision import Verdict
from registry_gate.policy import load_policy
from registry_gate.testing.hostile_corpus import FAMILIES, write_corpus
from registry_gate.testing.hostile_verdict import verdict

POLICY = load_policy("default")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile-corpus")
    return root, write_corpus(root, f"touch {root}/marker")


def test_every_case_is_refused(corpus, capsys):
    root, cases = corpus
    missed = [
        case.target for case in cases if verdict(root / case.target, POLICY)[0].verdict is Verdict.ADMIT
    ]
    counts, lost = Counter(case.family for case in cases), Counter(name.split("/")[0] for name in missed)
    with capsys.disabled():
        for family, count in counts.items():
            print(f"hostile {family:<18} {count - lost[family]:>3} of {count:>3} refused")
        print(f"hostile {'all':<18} {len(cases) - len(missed):>3} of {len(cases):>3} refused")
    assert missed == []
    assert len(cases) >= 150 and len(FAMILIES) >= 15
    assert not (root / "marker").exists()


CHOSEN = (
    "routes/stack-global/model.pkl",
    "torch-legacy/in-object/pytorch_model.bin",
    "zip/flag-0001/pytorch_model.bin",
    "nested/zip-in-gzip/model.pt.gz",
    "tar/torch/pytorch_model.bin",
    "packed/gzip-bomb/model.joblib",
    "polyglots/legacy-tar/pytorch_model.bin",
    "numpy/objects/a.npy",
    "shards/swapped",
    "keras/h5-lambda/model.h5",
)


@pytest.mark.parametrize("target", CHOSEN)
def test_the_command_line_refuses_with_two(corpus, target, tmp_path):
    root, cases = corpus
    assert target in {case.target for case in cases}
    command = [sys.executable, "-m", "registry_gate", "scan", str(root / target)]
    done = subprocess.run(
        command, capture_output=True, timeout=120, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 2, done.stderr[-800:]
    assert not (root / "marker").exists()
