"""An environment of its own for each peer, below ``benchmarks/results/envs``, made where it is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PEERS = {
    "picklescan": "picklescan==1.0.5",
    "modelscan": "modelscan==0.8.8",
    "fickling": "fickling==0.1.12 typing_extensions",
    "modelaudit": "modelaudit==0.2.54",
}
MLSEC = "mlsec==2.0.0"
MITHRIDATIUM = "mithridatium==0.1.2"
ENVS = Path(__file__).resolve().parent / "results" / "envs"


def environment(name: str) -> Path | None:
    """The interpreter of a peer's environment; None where it could not be made."""
    python = ENVS / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVS / name)], check=False)
    done = ENVS / name / "installed"
    if not done.exists():
        install = [str(python), "-m", "pip", "install", "-q", *PEERS[name].split()]
        if subprocess.run(install, check=False).returncode:
            return None
        done.touch()
    return python


def mlsec() -> Path | None:
    """The folder mlsec is installed in, for ``PYTHONPATH``: it runs on this environment's torch."""
    return _folder("mlsec", MLSEC)


def mithridatium() -> Path | None:
    """The folder Mithridatium is installed in, for ``PYTHONPATH``, as :func:`mlsec`."""
    return _folder("mithridatium", MITHRIDATIUM)


def _folder(name: str, requirement: str) -> Path | None:
    folder = ENVS / name
    if not (folder / name).is_dir():
        target = ["--no-deps", "--target", str(folder), requirement]
        if subprocess.run([sys.executable, "-m", "pip", "install", "-q", *target], check=False).returncode:
            return None
    return folder
