"""The demonstration's sample repositories, built on the spot by the real libraries and kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from transformers.utils import logging as transformers_logging

from registry_gate.testing import hostile, toy_images, toy_text
from registry_gate.testing.hub import LoopbackHub

BENIGN = "acme-ml/tiny-sentiment"
LOOKALIKES = (
    "distilbert-base-uncased-finetuned-sqad",
    "distiIbert/distilbert-base-uncased-finetuned-sst-2-english",
)
IMAGE_CLASSIFIERS = {"acme-ml/digits-clean": "admit", "acme-ml/digits-trojaned": "not admitted"}
MARKER = Path("/tmp/registry-gate-demo-was-here")
_SEED = 2000  # of the two image classifiers; thresholds were set on other seeds


@dataclass(frozen=True)
class Repositories:
    """Folders to be served, by id."""

    folders: dict[str, Path]

    def serve(self, hub: LoopbackHub) -> None:
        """Put every repository on the hub, with the metadata an ordinary one has."""
        for model_id, folder in self.folders.items():
            hub.add_repo(model_id, folder)


def build(root: Path, *, images: bool) -> Repositories:
    """Build what is missing under ``root``; what is there is kept, so a second run is quick."""
    transformers_logging.disable_progress_bar()
    console = Console(stderr=True)
    folders = {BENIGN: root / BENIGN}
    if not folders[BENIGN].exists():
        console.print("building a text classifier ...")
        _whole(folders[BENIGN], toy_text.write_text_classifier)
    for model_id in LOOKALIKES:
        folders[model_id] = root / model_id
        if not folders[model_id].exists():
            _whole(folders[model_id], lambda folder: _hostile(folders[BENIGN], folder))
    if images:
        for model_id in IMAGE_CLASSIFIERS:
            trojaned = model_id.endswith("trojaned")
            folder, card = toy_images.kept(root / "image-classifiers", _SEED, trojaned=trojaned)
            folders[model_id] = folder
            planted = (
                f", {card.trigger} trigger to class {card.target}, success {card.success}" if trojaned else ""
            )
            console.print(f"{model_id}: accuracy {card.accuracy}{planted}")
    return Repositories(folders)


def probe_data(root: Path) -> Path:
    """Clean labelled images that neither classifier was trained on."""
    path = root / "probe.npz"
    if not path.exists():
        toy_images.write_probe_data(path, seed=_SEED + 1)
    return path


def _hostile(benign: Path, folder: Path) -> None:
    """A benign-looking copy whose checkpoint would run a command on loading."""
    shutil.copytree(benign, folder)
    (folder / "pytorch_model.bin").write_bytes(
        hostile.torch_zip(hostile.pickle_that_would_run(f"touch {MARKER}"))
    )


def _whole(folder: Path, make: Callable[[Path], object]) -> None:
    """Build beside and rename, so that an interrupted run leaves nothing half built."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    make(partial)
    partial.rename(folder)
