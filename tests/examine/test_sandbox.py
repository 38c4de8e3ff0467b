import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from registry_gate.errors import ToolError
from registry_gate.examine import proof, sandbox
from registry_gate.examine.proof import GUARANTEES
from registry_gate.examine.sandbox import MODES, available_sandboxes, choose, run_confined

PROBE = "registry_gate.testing.escape_probe"


@pytest.fixture(params=MODES)
def mode(request):
    if request.param not in available_sandboxes():
        pytest.skip(f"THIS KERNEL LACKS {request.param.upper()}: its confinement is NOT tested here")
    return request.param


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"weights")
    return folder


def attempt(mode, inputs, name, argument="", **options):
    options = {"seconds": 20, "memory_mb": 512} | options
    answer, report = run_confined(
        PROBE, f"{name} {argument}".encode(), inputs=[inputs], accepted=[mode], **options
    )
    assert report.mode == mode
    assert set(report.guarantees) == set(GUARANTEES)
    return answer.decode()


def test_the_inputs_can_be_read(mode, inputs):
    assert attempt(mode, inputs, "read", inputs / "model.bin") == "escaped: b'weights'"


def test_a_single_file_shows_nothing_beside_it(mode, inputs):
    (inputs / "other").write_text("x")
    file = inputs / "model.bin"
    assert attempt(mode, file, "read", file).startswith("escaped")
    assert attempt(mode, file, "read", inputs / "other").startswith("held")


def test_threads_work(mode, inputs):
    assert attempt(mode, inputs, "threads") == "escaped: 8 threads"


def test_a_long_request_arrives_whole(mode, inputs):
    path = f"{inputs}{'/.' * (2 << 20)}/model.bin"
    assert "File name too long" in attempt(mode, inputs, "read", path)


def test_a_child_dies_with_its_parent(mode, inputs):
    code = (
        "import sys; from pathlib import Path; from registry_gate.examine.sandbox import run_confined; "
        f"run_confined({PROBE!r}, b'sleep', inputs=[Path({str(inputs)!r})], seconds=60, memory_mb=512, "
        f"accepted=[{mode!r}], progress=lambda *_: print('begun', flush=True))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"begun\n"
    assert _running(PROBE)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _await_end(PROBE)


def test_no_connection_reaches_a_listener(mode, inputs):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        assert attempt(mode, inputs, "connect", port).startswith("held")
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_unix_socket_is_reached(mode, inputs, tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(inputs / "engine.sock"))
        server.listen()
        assert attempt(mode, inputs, "connect_unix", inputs / "engine.sock").startswith("held")


@pytest.mark.parametrize("place", ["home", "keys", "beside", "/etc/passwd", "/etc/shadow"])
def test_nothing_else_can_be_read(mode, inputs, tmp_path, monkeypatch, place):
    home = tmp_path / "home"
    secrets = {
        "home": home / "canary",
        "keys": home / ".config" / "registry-gate" / "signing.key",
        "beside": inputs.parent / "canary",
    }
    monkeypatch.setenv("HOME", str(home))
    for path in secrets.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    answer = attempt(mode, inputs, "read", secrets.get(place, place))
    assert answer.startswith("held")
    assert "secret" not in answer


def test_the_real_home_folder_shows_no_file(mode, inputs):
    canary = Path.home() / f".registry-gate-canary-{os.getpid()}"
    canary.write_text("secret")
    try:
        assert attempt(mode, inputs, "read", canary).startswith("held")
    finally:
        canary.unlink()


def test_the_checkout_around_the_package_is_hidden(mode, inputs):
    beside = Path(sandbox.__file__).parents[2] / "pyproject.toml"
    if not beside.is_file():
        pytest.skip("the package is installed, not a checkout")
    assert attempt(mode, inputs, "read", beside).startswith("held")


def test_no_environment_can_be_read(mode, inputs, monkeypatch):
    monkeypatch.setenv("REGISTRY_GATE_TEST_SECRET", "s3cr3t-of-the-parent")
    holder = subprocess.Popen(["sleep", "30"])
    try:
        assert attempt(mode, inputs, "read", f"/proc/{holder.pid}/environ").startswith("held")
        assert attempt(mode, inputs, "environments", "s3cr3t-of-the-parent").startswith("held")
    finally:
        holder.kill()
        holder.wait()


def test_nothing_can_be_written(mode, inputs):
    for target in (inputs / "new", inputs.parent / "new", inputs / "model.bin", "/tmp/registry-gate-new"):
        assert attempt(mode, inputs, "write", target).startswith("held")
    assert [path.name for path in inputs.iterdir()] == ["model.bin"]
    assert (inputs / "model.bin").read_bytes() == b"weights"
    assert not Path("/tmp/registry-gate-new").exists()


@pytest.mark.parametrize("deed", ["truncate", "chmod", "unlink"])
def test_an_input_cannot_be_changed(mode, inputs, deed):
    before = (inputs / "model.bin").stat().st_mode
    assert attempt(mode, inputs, deed, inputs / "model.bin").startswith("held")
    assert (inputs / "model.bin").read_bytes() == b"weights"
    assert (inputs / "model.bin").stat().st_mode == before


@pytest.mark.parametrize(
    "deed", ["fork", "shell", "execute", "namespace", "io_uring", "raise_limits", "forge"]
)
def test_no_way_out(mode, inputs, deed):
    assert attempt(mode, inputs, deed).startswith("held")


@pytest.mark.parametrize("deed", ["kill", "ptrace"])
def test_other_processes_are_out_of_reach(mode, inputs, deed):
    bystander = subprocess.Popen(["sleep", "30"])
    try:
        assert attempt(mode, inputs, deed, bystander.pid).startswith("held")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize(
    ("deed", "code", "options"),
    [
        ("eat_memory", "reader-memory", {"memory_mb": 256}),
        ("sleep", "reader-timeout", {"seconds": 2}),
        ("spin", "reader-timeout", {"seconds": 2}),
        ("flood", "reader-answer", {"memory_mb": 2048, "seconds": 60}),
        ("crash", "reader-crashed", {}),
    ],
)
def test_what_does_not_end_well_is_ended(mode, inputs, deed, code, options):
    before = threading.active_count()
    with pytest.raises(ToolError) as caught:
        attempt(mode, inputs, deed, **options)
    assert caught.value.code == code
    assert threading.active_count() == before
    _await_end(PROBE)


def _await_end(module):
    for _ in range(100):  # the kernel tidies a process namespace up a moment after its first process died
        if not _running(module):
            return
        time.sleep(0.05)
    raise AssertionError(_running(module))


def _running(module):
    """Command lines of processes that run the module as a confined child."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if module.encode() in arguments and b"-I" in arguments:
            found.append(entry.name)
    return found


def test_shared_memory_is_limited_too(mode, inputs):
    assert attempt(mode, inputs, "eat_shared_memory", 64 << 30).startswith("held")


def test_floods_of_stderr_are_cut_and_escaped(mode, inputs):
    seen = []
    answer = attempt(mode, inputs, "flood_errors", progress=lambda *step: seen.append(step), seconds=60)
    assert answer == "held: done"
    assert seen == [("attempt", 0, 1)]


def test_an_unknown_module_is_a_crash_without_terminal_codes(mode, inputs):
    with pytest.raises(ToolError) as caught:
        run_confined("no.such_module", b"", inputs=[inputs], seconds=9, memory_mb=512, accepted=[mode])
    assert caught.value.code == "reader-crashed"
    assert caught.value.message.isprintable()


def test_a_module_that_answers_without_confining_itself_is_refused(mode, inputs):
    with pytest.raises(ToolError) as caught:
        run_confined("this", b"", inputs=[inputs], seconds=9, memory_mb=512, accepted=[mode])
    assert caught.value.code == "reader-answer"


def test_a_child_started_without_a_confinement_reads_nothing():
    done = subprocess.run(
        [sys.executable, "-m", PROBE], input=b"read /etc/passwd", capture_output=True, timeout=30
    )
    assert done.returncode == 70
    assert done.stdout == b""
    assert b"not confined" in done.stderr


def test_the_strongest_accepted_mode_is_chosen(mode):
    assert choose([mode]) == mode
    assert choose(MODES) == available_sandboxes()[0]


def test_none_accepted_says_how_to_get_one():
    with pytest.raises(ToolError) as caught:
        choose(["firejail"])
    assert caught.value.code == "no-sandbox"
    assert "apt-get install bubblewrap" in caught.value.todo
    assert "5.13" in caught.value.todo


def test_bubblewrap_that_cannot_make_namespaces_does_not_count(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    available_sandboxes.cache_clear()
    try:
        assert "bubblewrap" not in available_sandboxes()
    finally:
        monkeypatch.undo()
        available_sandboxes.cache_clear()


def test_a_file_that_cannot_be_taken_away_again_was_written_all_the_same(tmp_path, monkeypatch):
    """The filter forbids unlink: taking that for "not written" would hide a file system that is open."""

    def refuse(_path):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    assert proof._made(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert not proof._made(tmp_path / "missing")
