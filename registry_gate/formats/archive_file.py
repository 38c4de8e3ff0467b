"""Describe archives and compressed files: named, refused, and every pickle inside judged."""

from __future__ import annotations

from pathlib import Path

from registry_gate.evidence import FileFacts, FileFormat, Problem
from registry_gate.formats.contents import Contents, look_into_packed, look_into_tar
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.recognised import is_joblib, note
from registry_gate.formats.sniff import HEAD
from registry_gate.formats.tar_layout import is_tar
from registry_gate.formats.unpacking import packing_of

_NEMO = frozenset({"model_config.yaml", "model_weights.ckpt"})
_TORCH_TAR = frozenset({"pickle", "storages", "tensors"})


def read_archive(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """Describe an archive that is no zip: tar and compressed streams are looked into, others are named.

    Args:
        path: the file.
        relative: its path inside the candidate.
        limits: bounds of the reader.
    """
    contents = Contents.of(limits)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
        packing = packing_of(head)
        if is_tar(head):
            said = _tar_note(set(look_into_tar(contents, file, size, "", 0)))
        elif packing:
            look_into_packed(contents, file, packing, "", 0)
            said = note("joblib" if is_joblib(tuple(contents.pickles)) else "packed", f" ({packing})")
        else:
            said = note("closed")
    return FileFacts(
        path=relative,
        format=FileFormat.ARCHIVE,
        reader="archive",
        understood=False,
        problems=(said, *contents.problems)[: limits.max_problems],
        pickles=tuple(contents.pickles),
    )


def _tar_note(names: set[str]) -> Problem:
    if names & _NEMO:
        return note("nemo")
    return note("torch-tar" if names >= _TORCH_TAR else "tar")
