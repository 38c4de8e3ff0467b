"""Ways to tamper with the index: each is refused with its code before a byte of the model is read."""

from __future__ import annotations

import http.server
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from registry_gate import load_verified
from registry_gate.cli.app import run
from registry_gate.errors import VerificationError
from registry_gate.index.check import require_listed
from registry_gate.index.read import read_index
from registry_gate.signing.trust import load_trust
from registry_gate.testing.sample_release import sample_gate
from tests.tamper.index_ground import ROLES, IndexGround, IndexMutation, prepare_index, reader_of
from tests.tamper.index_tables import INDEX_FAMILIES

AT_LEAST = 1000
EVERY = 23
"""Of so many mutations, one goes through the command line and ``load_verified`` as well."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> IndexGround:
    folder = tmp_path_factory.mktemp("index")
    return prepare_index(folder, sample_gate(folder / "gate"), sample_gate(folder / "stranger"))


@pytest.fixture(autouse=True)
def _temporary_files_where_a_test_can_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def refusal_of(ground: IndexGround, mutation: IndexMutation, folder: Path) -> str:
    """The code with which loading refuses; anything else it does is an answer of its own."""
    settings = reader_of(ground, mutation, folder)
    try:
        require_listed(ground.verified, settings, load_trust(settings.trust), alias="approved")
    except VerificationError as error:
        assert error.why
        assert error.todo
        return error.code
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder)
    return "accepted"


@pytest.mark.parametrize("memory", ["nothing", "present"])
def test_the_index_itself_is_accepted(memory: str, ground: IndexGround, tmp_path: Path) -> None:
    for name, files in (("untouched", {}), ("one state further", ground.next())):
        mutation = IndexMutation(name, files, memory=memory)
        assert refusal_of(ground, mutation, tmp_path / "reader") == "accepted"


def test_there_are_enough_of_them_and_no_two_have_one_name(ground: IndexGround) -> None:
    names = [f"{family}: {item.name}" for family, table in INDEX_FAMILIES.items() for item in table(ground)]
    assert len(set(names)) == len(names)
    assert len(names) >= AT_LEAST


@pytest.mark.parametrize("family", INDEX_FAMILIES)
def test_every_mutation_is_refused_with_its_code(family: str, ground: IndexGround, tmp_path: Path) -> None:
    wrong = []
    for number, mutation in enumerate(INDEX_FAMILIES[family](ground)):
        code = refusal_of(ground, mutation, tmp_path / f"m{number}")
        if code != mutation.code:
            wrong.append(f"{mutation.name}: {code}, not {mutation.code}")
    assert not wrong, f"{len(wrong)} of {number + 1}:\n" + "\n".join(wrong[:40])
    assert list((tmp_path / "temporary").iterdir()) == []


class _Endless(http.server.BaseHTTPRequestHandler):
    """Sends every file truly, and one of them without end."""

    folder: Path
    endless: str

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        if not (self.folder / name).is_file():
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write((self.folder / name).read_bytes())
            while name == self.endless:
                self.wfile.write(b" " * 65_536)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("role", ROLES)
def test_a_server_that_never_stops_sending_is_cut_off(role: str, ground: IndexGround, tmp_path: Path) -> None:
    settings = reader_of(ground, IndexMutation("", {}), tmp_path / "reader")
    serving = {"folder": Path(str(settings.index)), "endless": ground.present.name(role)}
    handler = type("Handler", (_Endless,), serving)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = settings.model_copy(update={"index": f"http://127.0.0.1:{server.server_address[1]}"})
        with pytest.raises(VerificationError) as caught:
            read_index(there, load_trust(settings.trust))
        server.shutdown()
    assert caught.value.code == "index-untrusted"


def test_the_commands_refuse_them_with_status_two_and_no_traceback(
    ground: IndexGround, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only an alias tells apart is left out: the Release is asked for by its folder."""
    every = [item for table in INDEX_FAMILIES.values() for item in table(ground) if not item.by_alias]
    for number, mutation in enumerate(every[::EVERY]):
        settings = reader_of(ground, mutation, tmp_path / f"m{number}")
        monkeypatch.setenv("REGISTRY_GATE_HOME", str(settings.home))
        monkeypatch.setenv("REGISTRY_GATE_INDEX", str(settings.index))
        assert run(["verify", str(ground.release)]) == 2, mutation.name
        shown = capsys.readouterr()
        assert shown.out == "", mutation.name
        assert shown.err.partition(":")[0] == mutation.code, mutation.name
        assert "Traceback" not in shown.err, mutation.name
        with pytest.raises(VerificationError) as caught:
            load_verified(ground.release, into="state_dict")
        assert caught.value.code == mutation.code, mutation.name
    assert list((tmp_path / "temporary").iterdir()) == []
