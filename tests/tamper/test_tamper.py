"""Thousands of ways to tamper with a Release: each is refused, with its code, before any parser runs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from registry_gate import load_verified
from registry_gate.cli.app import run
from registry_gate.errors import VerificationError
from registry_gate.testing.sample_release import sample_gate
from tests.tamper.mutation import Ground, copy_of, prepare
from tests.tamper.tables import FAMILIES

AT_LEAST = 2000
EVERY = 12
"""Of so many mutations, one goes through the command line and ``load_verified`` as well."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("ground")
    return prepare(folder, sample_gate(folder / "home"), sample_gate(folder / "stranger"))


@pytest.fixture(autouse=True)
def _user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ground: Ground) -> None:
    """The user is the gate's own, and temporary copies go where a test can look for leaks."""
    scratch = tmp_path / "temporary"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(ground.gate.settings.home))


def refusal_of(root: Path, ground: Ground) -> str:
    """The code with which loading refuses; anything else it does is an answer of its own."""
    try:
        _load(root, ground)
    except VerificationError as error:
        assert error.why
        assert error.todo
        assert error.exit_code == 2
        return error.code
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def _load(root: Path, ground: Ground) -> None:
    from registry_gate.client.accepted import OpenRelease, accepted
    from registry_gate.client.hold import held_release
    from registry_gate.client.reference import Reference
    from registry_gate.progress import silent
    from registry_gate.signing.folder import Folder
    from registry_gate.signing.verify import check_names

    reference = Reference(name="acme--tiny", alias="approved", id="acme/tiny")
    with Folder(root) as source:
        found = accepted(source, reference, ground.gate.settings, ground.gate.trust)
        check_names(source, found.manifest)
        with held_release(OpenRelease(source, found), silent):
            pass


def test_the_release_itself_is_accepted(ground: Ground, tmp_path: Path) -> None:
    assert refusal_of(copy_of(ground.release, tmp_path / "copy"), ground) == "accepted"


def test_there_are_enough_of_them_and_no_two_have_one_name(ground: Ground) -> None:
    names = [f"{family}: {item.name}" for family, table in FAMILIES.items() for item in table(ground)]
    assert len(set(names)) == len(names)
    assert len(names) >= AT_LEAST


@pytest.mark.parametrize("family", FAMILIES)
def test_every_mutation_is_refused_with_its_code(family: str, ground: Ground, tmp_path: Path) -> None:
    wrong = []
    for number, mutation in enumerate(FAMILIES[family](ground)):
        root = copy_of(ground.release, tmp_path / f"m{number}")
        mutation.change(root)
        code = refusal_of(root, ground)
        if code not in mutation.codes:
            wrong.append(f"{mutation.name}: {code}, not {sorted(mutation.codes)}")
        shutil.rmtree(root)
    assert not wrong, f"{len(wrong)} of {number + 1}:\n" + "\n".join(wrong[:40])
    assert list((tmp_path / "temporary").iterdir()) == []


OF_BYTES = ("bit flips", "truncations", "extensions", "swaps")


@pytest.mark.parametrize("family", OF_BYTES)
def test_what_was_signed_before_blake3_is_held_as_firmly(family: str, ground: Ground, tmp_path: Path) -> None:
    """The same tables on a Release whose chunks are digested by sha256."""
    older = dataclasses.replace(ground, release=ground.by_sha256)
    assert refusal_of(copy_of(older.release, tmp_path / "copy"), ground) == "accepted"
    wrong = []
    for number, mutation in enumerate(FAMILIES[family](older)):
        root = copy_of(older.release, tmp_path / f"m{number}")
        mutation.change(root)
        code = refusal_of(root, ground)
        if code not in mutation.codes:
            wrong.append(f"{mutation.name}: {code}, not {sorted(mutation.codes)}")
        shutil.rmtree(root)
    assert not wrong, f"{len(wrong)} of {number + 1}:\n" + "\n".join(wrong[:40])


def test_the_commands_refuse_them_with_status_two_and_no_traceback(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only the name tells apart is left out: a folder is asked for by its path."""
    mutations = [
        item for table in FAMILIES.values() for item in table(ground) if "wrong-name" not in item.codes
    ]
    for number, mutation in enumerate(mutations[::EVERY]):
        root = copy_of(ground.release, tmp_path / f"m{number}")
        mutation.change(root)
        assert run(["verify", str(root)]) == 2, mutation.name
        shown = capsys.readouterr()
        assert shown.out == "", mutation.name
        assert shown.err.partition(":")[0] in mutation.codes, mutation.name
        assert "Traceback" not in shown.err, mutation.name
        for into in ("state_dict", "directory"):
            with pytest.raises(VerificationError) as caught:
                load_verified(root, into=into)  # type: ignore[call-overload]
            assert caught.value.code in mutation.codes, mutation.name
        shutil.rmtree(root)
    assert list((tmp_path / "temporary").iterdir()) == []
