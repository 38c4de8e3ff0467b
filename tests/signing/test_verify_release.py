"""Every way to change a Release is refused, each with its own code."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_gate.errors import FetchError, VerificationError
from registry_gate.record import canonical_json
from registry_gate.release import BOM_FILE
from registry_gate.signing import verify as verify_module
from registry_gate.signing.dsse import seal
from registry_gate.signing.folder import Folder
from registry_gate.signing.refusal import CODES
from registry_gate.signing.verify import copy_verified, read_statements, verify_release
from registry_gate.testing.sample_release import FILES, SampleGate, sample_gate, sample_policy

STATEMENTS = "attestations/statements.jsonl"
SIGNATURE = "attestations/model.sig"


def code_of(root: Path, gate: SampleGate, **expectations: object) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_release(root, gate.trust, **expectations)  # type: ignore[arg-type]
    assert caught.value.code in CODES
    assert caught.value.why
    assert caught.value.todo
    assert caught.value.exit_code == 2
    return caught.value.code


def test_what_was_signed_verifies(release: Path, gate: SampleGate) -> None:
    verified = verify_release(release, gate.trust, expect_name="acme--tiny", expect_id="acme/tiny")
    assert (verified.name, verified.id, verified.commit) == ("acme--tiny", "acme/tiny", "a" * 40)
    assert verified.policy_digest == gate.policy.digest()
    assert verified.signed_by == gate.signer.key.key_id
    assert verified.files == len(FILES) + 1
    bill = (release / "model" / BOM_FILE).stat().st_size
    assert verified.size == sum(map(len, FILES.values())) + bill


def add(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"extra")

    return change


def delete(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: (root / old).rename(root / new)


def link(name: str) -> Callable[[Path], None]:
    """Replace a file by a link to the same bytes elsewhere."""

    def change(root: Path) -> None:
        aside = root.parent / "aside"
        (root / name).rename(aside)
        (root / name).symlink_to(aside)

    return change


def link_folder(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        aside = root.parent / "aside-folder"
        (root / name).rename(aside)
        (root / name).symlink_to(aside, target_is_directory=True)

    return change


def pipe(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).unlink()
        os.mkfifo(root / name)

    return change


def folder_for_file(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).unlink()
        (root / name).mkdir()

    return change


def append(name: str, data: bytes = b"\n") -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes() + data)


def cut(name: str, count: int = 1) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-count])


CHANGES = {
    "extra file": (add("model/extra.bin"), "unexpected-file"),
    "extra code": (add("model/modeling_tiny.py"), "unexpected-file"),
    "extra dotfile": (add("model/.hidden"), "unexpected-file"),
    "extra file under .git": (add("model/.git/config"), "unexpected-file"),
    "extra file at the top": (add("README.md"), "unexpected-file"),
    "extra attestation": (add("attestations/more.sig"), "unexpected-file"),
    "extra nested folder": (add("model/tokenizer/deep/er/file"), "unexpected-file"),
    "extra name in another case": (add("model/CONFIG.json"), "unexpected-file"),
    "empty folder": (lambda root: (root / "model/empty").mkdir(), "unexpected-file"),
    "newline in a name": (add("model/a\nb"), "unexpected-file"),
    "name that is not UTF-8": (add(os.fsdecode(b"model/\xff")), "unexpected-file"),
    "file removed": (delete("model/config.json"), "missing-file"),
    "nested file removed": (lambda root: shutil.rmtree(root / "model/tokenizer"), "missing-file"),
    "file renamed": (rename("model/config.json", "model/config2.json"), "unexpected-file"),
    "file renamed in case": (rename("model/config.json", "model/Config.json"), "unexpected-file"),
    "file replaced by a link": (link("model/config.json"), "link"),
    "weights replaced by a link": (link("model/model.safetensors"), "link"),
    "folder replaced by a link": (link_folder("model/tokenizer"), "link"),
    "model replaced by a link": (link_folder("model"), "link"),
    "attestations replaced by a link": (link_folder("attestations"), "link"),
    "signature replaced by a link": (link(SIGNATURE), "link"),
    "file replaced by a pipe": (pipe("model/config.json"), "unexpected-file"),
    "signature replaced by a pipe": (pipe(SIGNATURE), "unexpected-file"),
    "file replaced by a folder": (folder_for_file("model/config.json"), "unexpected-file"),
    "file longer": (append("model/model.safetensors"), "bytes-differ"),
    "file shorter": (cut("model/model.safetensors"), "bytes-differ"),
    "file emptied": (cut("model/config.json", 54), "bytes-differ"),
    "no signature": (delete(SIGNATURE), "no-signature"),
    "no statements": (delete(STATEMENTS), "no-signature"),
    "empty signature": (lambda root: (root / SIGNATURE).write_bytes(b""), "no-signature"),
    "empty statements": (lambda root: (root / STATEMENTS).write_bytes(b""), "no-signature"),
    "no attestations": (lambda root: shutil.rmtree(root / "attestations"), "no-signature"),
    "signature with a newline": (append(SIGNATURE), "bad-bundle"),
    "statements with a blank line": (append(STATEMENTS), "bad-bundle"),
    "statements without the last newline": (cut(STATEMENTS), "bad-bundle"),
    "signature of something else": (
        lambda root: (root / SIGNATURE).write_bytes((root / STATEMENTS).read_bytes().split(b"\n")[0]),
        "bad-statement",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_release_is_refused(name: str, release: Path, gate: SampleGate) -> None:
    change, code = CHANGES[name]
    change(release)
    assert code_of(release, gate) == code


@pytest.mark.parametrize("name", ["model/" + name for name in FILES])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_changed_byte_is_refused(name: str, where: str, release: Path, gate: SampleGate) -> None:
    data = bytearray((release / name).read_bytes())
    data[{"first": 0, "middle": len(data) // 2, "last": -1}[where]] ^= 1
    (release / name).write_bytes(data)
    assert code_of(release, gate) == "bytes-differ"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_of_a_release_is_refused(
    data: st.DataObject, release: Path, gate: SampleGate
) -> None:
    files = sorted(path for path in release.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(original)
    changed[position] ^= 1 << bit
    path.write_bytes(changed)
    try:
        code_of(release, gate)
    finally:
        path.write_bytes(original)


def test_every_bit_of_a_signature_counts(release: Path, gate: SampleGate) -> None:
    original = (release / SIGNATURE).read_bytes()
    for position in range(len(original)):
        changed = bytearray(original)
        changed[position] ^= 1 << (position % 8)
        (release / SIGNATURE).write_bytes(changed)
        code_of(release, gate)


def test_another_model_is_not_the_one_asked_for(release: Path, gate: SampleGate) -> None:
    assert code_of(release, gate, expect_name="acme--other") == "wrong-name"
    assert code_of(release, gate, expect_id="acme/other") == "wrong-name"
    assert code_of(release, gate, expect_id="Acme/tiny") == "wrong-name"


def test_attestations_of_another_model_are_refused(release: Path, gate: SampleGate, tmp_path: Path) -> None:
    other = gate.release(tmp_path / "other", "acme/other", {"weights.safetensors": b"other" * 30}).root
    shutil.copy(other / SIGNATURE, release / SIGNATURE)
    assert code_of(release, gate) == "bad-statement"
    shutil.copy(other / STATEMENTS, release / STATEMENTS)
    assert code_of(release, gate) == "unexpected-file"


def test_statements_of_an_older_release_of_the_same_files_do_not_mix(
    release: Path, gate: SampleGate, tmp_path: Path
) -> None:
    other = gate.release(tmp_path / "other", sequence=2).root
    lines = (release / STATEMENTS).read_bytes().split(b"\n")
    newer = (other / STATEMENTS).read_bytes().split(b"\n")
    assert lines[-2] != newer[-2]
    (release / STATEMENTS).write_bytes(b"\n".join([*lines[:-3], newer[-2], b""]))
    assert code_of(release, gate) == "bad-statement"


@pytest.mark.parametrize("index", range(6))
def test_a_statement_left_out_or_given_twice_is_refused(index: int, release: Path, gate: SampleGate) -> None:
    lines = (release / STATEMENTS).read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    (release / STATEMENTS).write_bytes(b"".join(lines[:index] + lines[index + 1 :]))
    assert code_of(release, gate) == "bad-statement"
    (release / STATEMENTS).write_bytes(b"".join([*lines, lines[index]]))
    assert code_of(release, gate) == "bad-statement"


def test_statements_in_another_order_are_refused(release: Path, gate: SampleGate) -> None:
    lines = (release / STATEMENTS).read_bytes().splitlines(keepends=True)
    for order in ((0, 2, 1, 3, 4, 5), (5, 0, 1, 2, 3, 4), (3, 1, 2, 0, 4, 5), (0, 1, 2, 4, 3, 5)):
        (release / STATEMENTS).write_bytes(b"".join(lines[index] for index in order))
        assert code_of(release, gate) == "bad-statement"


def test_another_signer_is_refused(gate: SampleGate, other_gate: SampleGate, tmp_path: Path) -> None:
    root = other_gate.release(tmp_path).root
    assert code_of(root, gate) == "untrusted-key"


def test_the_hint_does_not_choose_the_key(release: Path, gate: SampleGate, other_gate: SampleGate) -> None:
    """Signed by a stranger, the bundle claims to be signed by the pinned key."""
    bundle = json.loads((release / SIGNATURE).read_bytes())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    forged = json.loads(seal(payload, other_gate.signer))
    forged["verificationMaterial"]["publicKey"]["hint"] = gate.signer.key.hint
    (release / SIGNATURE).write_text(json.dumps(forged, separators=(",", ":")))
    assert code_of(release, gate) == "bad-signature"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain"), "bad-bundle"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"].append({"sig": "", "keyid": ""}), "bad-bundle"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"].clear(), "bad-bundle"),
        (
            lambda bundle: bundle.update(mediaType="application/vnd.dev.sigstore.bundle.v0.2+json"),
            "bad-bundle",
        ),
        (lambda bundle: bundle["verificationMaterial"].pop("publicKey"), "bad-bundle"),
        (lambda bundle: bundle["verificationMaterial"]["publicKey"].update(hint="0" * 64), "untrusted-key"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA"), "bad-signature"),
        (lambda bundle: bundle.update(extra=1), "bad-bundle"),
    ],
)
def test_an_edited_bundle_is_refused(
    edit: Callable[[dict[str, object]], object], code: str, release: Path, gate: SampleGate
) -> None:
    bundle = json.loads((release / SIGNATURE).read_bytes())
    edit(bundle)
    (release / SIGNATURE).write_text(json.dumps(bundle, separators=(",", ":")))
    assert code_of(release, gate) == code


def resign(root: Path, gate: SampleGate, edit: Callable[[dict[str, object]], object], line: int = -1) -> None:
    """Change one statement and sign it with the gate's own key: what a faulty or misused gate might write."""
    lines = (root / STATEMENTS).read_bytes().splitlines()
    statement = json.loads(base64.b64decode(json.loads(lines[line])["dsseEnvelope"]["payload"]))
    edit(statement)
    lines[line] = seal(canonical_json(statement), gate.signer)
    (root / STATEMENTS).write_bytes(b"".join(item + b"\n" for item in lines))


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda s: s["predicate"].update(verificationResult="FAILED"), "wrong-verdict"),
        (lambda s: s["predicate"].update(verificationResult="PASS"), "bad-statement"),
        (lambda s: s["predicate"]["verifier"].update(id="urn:someone:else"), "wrong-verifier"),
        (lambda s: s["predicate"]["policy"]["digest"].update(sha256="0" * 64), "wrong-policy"),
        (lambda s: s["predicate"].update(resourceUri="https://hub.example/acme/other@x"), "bad-statement"),
        (lambda s: s["subject"][0].update(name="acme--other"), "bad-statement"),
        (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "bad-statement"),
        (lambda s: s["subject"].append(s["subject"][0]), "bad-statement"),
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "bad-statement"),
        (lambda s: s.update(predicateType="https://example.com/other"), "bad-statement"),
        (lambda s: s["predicate"].update(surprise=1), "bad-statement"),
        (lambda s: s["predicate"].pop("registryGate_grant"), "bad-statement"),
    ],
)
def test_a_signed_verdict_that_says_something_else_is_refused(
    edit: Callable[[dict[str, object]], object], code: str, release: Path, gate: SampleGate
) -> None:
    resign(release, gate, edit)
    assert code_of(release, gate) == code


def test_expired_and_not_yet_valid_verdicts_are_refused(release: Path, gate: SampleGate) -> None:
    verified = verify_release(release, gate.trust)
    assert code_of(release, gate, now=verified.expires_at) == "expired"
    assert code_of(release, gate, now=verified.issued_at - timedelta(hours=1)) == "not-yet-valid"
    assert verify_release(release, gate.trust, now=verified.expires_at - timedelta(seconds=1)) == verified


def test_a_release_of_last_year_has_expired(gate: SampleGate, tmp_path: Path) -> None:
    root = gate.release(tmp_path, issued_at=datetime.now(UTC) - timedelta(days=20), days=10).root
    assert code_of(root, gate) == "expired"


def test_a_policy_that_is_no_longer_accepted_is_refused(release: Path, gate: SampleGate) -> None:
    trust = gate.trust.model_copy(update={"policies": (sample_policy("other").digest(),)})
    with pytest.raises(VerificationError) as caught:
        verify_release(release, trust)
    assert caught.value.code == "wrong-policy"


def test_a_gate_that_signs_no_manifest_names_outside_the_folder(tmp_path: Path, gate: SampleGate) -> None:
    """Even a manifest signed by the trusted key cannot lead the reader outside."""
    root = gate.release(tmp_path / "made").root

    def climb(statement: dict[str, object]) -> None:
        statement["predicate"]["files"][0]["name"] = "../../../etc/hostname"  # type: ignore[index]

    resign(root, gate, climb, line=0)
    assert code_of(root, gate) == "bad-statement"


def test_no_folder_is_an_error_not_a_verdict(tmp_path: Path, gate: SampleGate) -> None:
    with pytest.raises(FetchError) as caught:
        verify_release(tmp_path / "nowhere", gate.trust)
    assert (caught.value.code, caught.value.exit_code) == ("no-such-release", 1)


def test_the_copy_is_what_was_verified(release: Path, gate: SampleGate, tmp_path: Path) -> None:
    with Folder(release) as source:
        found = read_statements(source, gate.trust)
        copied = copy_verified(source, found, tmp_path / "copy")
    assert verify_release(copied, gate.trust) == found.verified
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700


def test_a_file_changed_after_the_names_were_checked_is_not_copied(
    release: Path, gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race of verify-then-load: the change comes between the check of the names and the copy."""
    original = verify_module.check_names

    def swap(*args: object) -> None:
        original(*args)  # type: ignore[arg-type]
        path = release / "model/model.safetensors"
        path.write_bytes(path.read_bytes()[::-1])

    monkeypatch.setattr(verify_module, "check_names", swap)
    with Folder(release) as source, pytest.raises(VerificationError) as caught:
        copy_verified(source, read_statements(source, gate.trust), tmp_path / "copy")
    assert caught.value.code == "bytes-differ"


def test_messages_show_hostile_names_escaped(release: Path, gate: SampleGate) -> None:
    add("model/\x1b[31mred\x07")(release)
    with pytest.raises(VerificationError) as caught:
        verify_release(release, gate.trust)
    assert "\x1b" not in caught.value.message
    assert "\\x1b[31mred" in caught.value.message


def test_two_gates_keep_their_models_apart(tmp_path: Path, gate: SampleGate) -> None:
    """Another gate's verdict is refused even where its key was pinned by mistake."""
    other = sample_gate(tmp_path / "home")
    root = other.release(tmp_path / "made").root
    both = gate.trust.model_copy(update={"keys": (*gate.trust.keys, *other.trust.keys)})
    with pytest.raises(VerificationError) as caught:
        verify_release(root, both)
    assert caught.value.code == "wrong-verifier"
