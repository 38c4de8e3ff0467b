"""Every example of the pages on audit and guard, run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.console import run_page

DOCS = Path(__file__).parents[2] / "docs"


def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "REGISTRY_GATE_HOME": str(folder / ".home")}


def test_audit_page(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "from transformers import AutoModel, pipeline\n"
        "from sentence_transformers import SentenceTransformer\n\n"
        'AutoModel.from_pretrained("acme-labs/tiny")\n'
        'SentenceTransformer("sentence-transfomers/all-MiniLM-L6-v2")\n'
    )
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "Dockerfile").write_text("FROM python:3.12\nRUN hf download acme-labs/tiny\n")
    env = environment(tmp_path)
    page = DOCS / "audit.md"
    text = page.read_text()
    first = text.index("## Allowing one line")
    (tmp_path / "first.md").write_text(text[:first])
    (tmp_path / "rest.md").write_text(text[first:])
    assert run_page(tmp_path / "first.md", tmp_path, env) == 2
    (tmp_path / "sandbox.py").write_text(
        "from transformers import AutoModel\n"
        '# registry-gate: allow hub-load until=2099-01-31 reason="sandbox without production data"\n'
        'AutoModel.from_pretrained("acme-labs/tiny")\n'
    )
    assert run_page(tmp_path / "rest.md", tmp_path, env) == 6


def test_guard_page(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(
        "import pickle\npickle.loads(b\"cposix\\nsystem\\n(S'touch marker'\\ntR.\")\n"
    )
    (tmp_path / "observed.py").write_text(
        "import fractions, pickle\npickle.loads(pickle.dumps(fractions.Fraction(1, 2)))\n"
    )
    assert run_page(DOCS / "guard.md", tmp_path, environment(tmp_path)) == 5
