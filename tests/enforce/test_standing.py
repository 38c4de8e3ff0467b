"""What audit and inventory say of what was revoked or superseded, from a real log and a real index."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from registry_gate import load_verified
from registry_gate.candidate import SourceKind
from registry_gate.cli.app import run
from registry_gate.client.reference import parse
from registry_gate.enforce.admissions import admissions, current
from registry_gate.enforce.audit.audit import Rulebook, audit
from registry_gate.enforce.audit.document import AuditFinding, AuditReport, Standing
from registry_gate.enforce.audit.render import as_sarif, as_text
from registry_gate.enforce.audit.standing import Ledger, read_ledger
from registry_gate.enforce.inventory import Inventory, filed_licences, inventory, verify_signature
from registry_gate.enforce.inventory_render import as_csv, as_cyclonedx
from registry_gate.enforce.inventory_render import as_text as inventory_as_text
from registry_gate.errors import VerificationError
from registry_gate.index.content import (
    Floor,
    IndexContent,
    Listed,
    RevokedRelease,
    RevokedSequences,
    RevokedSigner,
)
from registry_gate.index.read import read_index
from registry_gate.log import AdmissionLog
from registry_gate.policy import load_policy
from registry_gate.release import Source
from registry_gate.settings import Settings
from tests.enforce.house import NEW, OLD, House

PROTECTED = load_policy("default").protected
LOAD = "from transformers import AutoModel\nAutoModel.from_pretrained({model!r}, revision={revision!r})\n"
DAY = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def ledger(house: House) -> Ledger:
    return read_ledger(house.gate.settings)


def report_on(folder: Path, ledger: Ledger, text: str) -> AuditReport:
    (folder / "a.py").write_text(text)
    return audit([folder / "a.py"], Rulebook(ledger, PROTECTED))


def found(report: AuditReport, rule: str) -> AuditFinding:
    (one,) = [item for item in report.findings if item.rule == rule]
    return one


def rules_of(report: AuditReport) -> set[str]:
    return {item.rule for item in report.findings}


# --- what is known of each ---


def test_each_model_stands_as_the_index_says(ledger: Ledger) -> None:
    assert {name: known.standing for name, known in ledger.models.items()} == {
        "acme/good": Standing.ADMITTED,
        "acme/bad": Standing.REVOKED,
        "acme/gone": Standing.REVOKED,
        "acme/refused": Standing.REFUSED,
    }
    assert ledger.standing("acme/stranger") is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("model", "revision", "standing"),
    [
        ("acme/good", NEW, Standing.ADMITTED),
        ("acme/good", OLD, Standing.SUPERSEDED),
        ("acme/good", "main", Standing.ADMITTED),
        ("acme/good", "c" * 40, Standing.ADMITTED),
        ("acme/bad", NEW, Standing.REVOKED),
        ("acme/bad", "main", Standing.REVOKED),
        ("acme/bad", OLD, Standing.ADMITTED),
    ],
)
def test_a_commit_that_is_named_is_looked_at_itself(
    model: str, revision: str, standing: Standing, ledger: Ledger
) -> None:
    assert ledger.standing(model, revision) is standing


def test_what_is_to_be_loaded_instead_loads(
    ledger: Ledger, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice is followed: each line that is proposed leads to a Release that the verifier accepts."""
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(house.gate.settings.home))
    advised = [item for item in ledger.models.values() if item.instead]
    assert len(advised) == 2
    for known in (*advised, ledger.known("acme/good", OLD), ledger.known("acme/bad", OLD)):
        assert known is not None
        assert known.instead is not None
        shutil.rmtree(load_verified(known.instead, into="directory"))


@pytest.mark.parametrize("model", ["acme/bad", "acme/gone"])
def test_what_is_called_revoked_does_not_load(
    model: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(house.gate.settings.home))
    with pytest.raises(VerificationError) as caught:
        load_verified(model, into="directory")
    assert caught.value.code == "revoked"


# --- the audit ---


def test_a_revoked_model_is_a_finding_with_the_reason_and_the_line_to_write(
    ledger: Ledger, tmp_path: Path
) -> None:
    report = report_on(tmp_path, ledger, LOAD.format(model="acme/bad", revision=NEW))
    one = found(report, "revoked-model")
    assert (one.severity.value, one.standing, one.line) == ("critical", Standing.REVOKED, 2)
    assert "trained on poisoned data" in one.message
    pin = next(item.pin for item in ledger.releases if item.source.commit == OLD and "bad" in item.name)
    assert one.replacement == f'load_verified("{pin}")'
    assert found(report, "hub-load").replacement == f'load_verified("{pin}")'
    assert f'write  load_verified("{pin}")' in as_text(report)


def test_where_nothing_is_left_nothing_is_proposed(ledger: Ledger, tmp_path: Path) -> None:
    report = report_on(tmp_path, ledger, LOAD.format(model="acme/gone", revision="main"))
    assert {item.replacement for item in report.findings} == {None}
    assert "nothing of it is admitted now" in found(report, "revoked-model").message


def test_a_superseded_version_is_noted_and_the_newest_proposed(ledger: Ledger, tmp_path: Path) -> None:
    report = report_on(tmp_path, ledger, LOAD.format(model="acme/good", revision=OLD))
    one = found(report, "superseded-model")
    assert (one.severity.value, one.standing) == ("low", Standing.SUPERSEDED)
    assert one.replacement == 'load_verified("acme/good")'


def test_no_version_that_is_revoked_or_superseded_is_ever_proposed(ledger: Ledger, tmp_path: Path) -> None:
    gone = {item.pin for item in ledger.releases if item.standing is not Standing.ADMITTED}
    names = [f"models:/{item.name}/{item.versions[0]}" for item in ledger.releases]
    names += [item.pin for item in ledger.releases] + [
        "models:/acme--bad@approved",
        "models:/acme--gone@approved",
    ]
    text = "import mlflow\n" + "".join(f"mlflow.pyfunc.load_model({name!r})\n" for name in names)
    text += "".join(
        LOAD.format(model=item.source.id, revision=item.source.commit) for item in ledger.releases
    )
    report = report_on(tmp_path, ledger, text)
    proposed = {
        item.replacement.partition('"')[2].rstrip('")') for item in report.findings if item.replacement
    }
    assert proposed
    for reference in proposed:
        known = ledger.referenced(reference)
        assert known is not None
        assert known.standing is Standing.ADMITTED
        assert reference not in gone


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('load_verified("acme/bad")', "revoked-model"),
        ('load_verified("models:/acme--bad/2")', "revoked-model"),
        ('load_verified("models:/acme--bad@approved")', "revoked-model"),
        ('load_verified("models:/acme--good/1")', "superseded-model"),
        ('load_verified("models:/acme--good@approved")', None),
        ('load_verified("models:/acme--bad/1")', None),
        ('load_verified("acme/stranger")', None),
        ('load_verified("./folder")', None),
        ('load_verified("models:/nothing of ours")', None),
    ],
)
def test_a_load_on_the_road_is_told_before_it_fails(
    line: str, rule: str | None, ledger: Ledger, tmp_path: Path
) -> None:
    report = report_on(tmp_path, ledger, f"from registry_gate import load_verified\n{line}\n")
    assert rules_of(report) == ({rule} if rule else set())
    assert len(report.on_road) == 1


def test_a_pull_in_a_script_is_told_as_well(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "fetch.sh").write_text("registry-gate pull acme/bad /models\n")
    report = audit([tmp_path / "fetch.sh"], Rulebook(ledger, PROTECTED))
    one = found(report, "revoked-model")
    assert one.replacement is not None
    assert one.replacement.startswith("registry-gate pull models:/acme--bad@sha256:")


def test_fingerprints_do_not_hang_on_reason_or_day(ledger: Ledger, tmp_path: Path) -> None:
    text = LOAD.format(model="acme/bad", revision=NEW)
    first = found(report_on(tmp_path, ledger, text), "revoked-model")
    later = ledger.models["acme/bad"]
    other = replace(
        ledger, models=ledger.models | {"acme/bad": replace(later, reason="another")}, releases=()
    )
    assert found(report_on(tmp_path, other, text), "revoked-model").fingerprint == first.fingerprint


def test_sarif_names_rule_and_standing(ledger: Ledger, tmp_path: Path) -> None:
    document = json.loads(
        as_sarif(report_on(tmp_path, ledger, LOAD.format(model="acme/bad", revision=NEW)), 2)
    )
    (one,) = [item for item in document["runs"][0]["results"] if item["ruleId"] == "revoked-model"]
    assert (one["level"], one["properties"]["standing"]) == ("error", "revoked")
    assert "revoked-model" in {rule["id"] for rule in document["runs"][0]["tool"]["driver"]["rules"]}


def test_the_command_fails_on_a_revoked_model_even_on_the_road(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(house.gate.settings.home))
    (tmp_path / "a.py").write_text('from registry_gate import load_verified\nload_verified("acme/bad")\n')
    assert run(["audit", str(tmp_path / "a.py")]) == 2
    shown = capsys.readouterr().out
    assert "revoked-model" in shown
    assert "index 1" in shown
    (tmp_path / "a.py").write_text('from registry_gate import load_verified\nload_verified("acme/good")\n')
    assert run(["audit", str(tmp_path / "a.py")]) == 0


# --- the inventory ---


@pytest.fixture(scope="module")
def shown(house: House, ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    folder = tmp_path_factory.mktemp("code")
    (folder / "a.py").write_text(
        "from registry_gate import load_verified\n"
        'load_verified("acme/good")\n'
        + LOAD.format(model="acme/bad", revision="main")
        + LOAD.format(model="acme/gone", revision=OLD)
        + LOAD.format(model="acme/refused", revision="main")
        + LOAD.format(model="acme/stranger", revision="main")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGISTRY_GATE_HOME", str(house.gate.settings.home))
        return inventory([folder], Rulebook(ledger, PROTECTED), verify_signature)


def test_every_model_has_its_row(shown: Inventory) -> None:
    rows = {
        model.id: (model.standing.value, model.revoked, model.signature, model.licence)
        for model in shown.models
    }
    assert rows == {
        "acme/good": ("admitted", False, "verified", "Apache-2.0"),
        "acme/bad": ("revoked", True, "revoked", None),
        "acme/gone": ("revoked", True, "revoked", None),
        "acme/refused": ("refused", False, "none", None),
        "acme/stranger": ("unknown", False, "none", None),
    }
    assert (shown.revoked, shown.untracked) == (2, 1)


def test_without_verifying_the_licence_comes_from_the_record_of_the_admission(
    house: House, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text(LOAD.format(model="acme/bad", revision="main"))
    settings = house.gate.settings
    listed = inventory([tmp_path], Rulebook(ledger, PROTECTED), licences=filed_licences(settings))
    assert [(model.licence, model.signature) for model in listed.models] == [("Apache-2.0", "not-checked")]


def test_a_record_that_was_changed_says_nothing(house: House, ledger: Ledger, tmp_path: Path) -> None:
    settings = house.gate.settings.model_copy(update={"home": tmp_path / "home"})
    shutil.copytree(house.gate.settings.reports, settings.reports)
    for path in settings.reports.glob("*/evidence.json"):
        path.write_bytes(path.read_bytes().replace(b"Apache-2.0", b"MIT-Modern"))
    known = ledger.models["acme/good"]
    assert filed_licences(house.gate.settings)(known) == "Apache-2.0"
    assert filed_licences(settings)(known) is None


def test_one_revoked_revision_makes_the_row_revoked(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        LOAD.format(model="acme/bad", revision=OLD) + LOAD.format(model="acme/bad", revision=NEW)
    )
    (row,) = inventory([tmp_path], Rulebook(ledger, PROTECTED)).models
    assert (row.revoked, row.commit, row.asked) == (True, NEW, (OLD, NEW))
    (tmp_path / "a.py").write_text(LOAD.format(model="acme/bad", revision=OLD))
    (row,) = inventory([tmp_path], Rulebook(ledger, PROTECTED)).models
    assert (row.revoked, row.commit) == (False, OLD)


def test_every_format_says_why_and_what_instead(shown: Inventory) -> None:
    text = inventory_as_text(shown)
    assert "2 revoked" in text
    assert "why      sequence" in text
    assert "instead  models:/acme--bad@sha256:" in text
    assert "instead  nothing of it is admitted now" in text
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(as_csv(shown)))}
    assert rows["acme/bad"]["revoked"] == "yes"
    assert "poisoned" in rows["acme/bad"]["reason"]
    assert rows["acme/bad"]["instead"].startswith("models:/acme--bad@sha256:")
    assert (rows["acme/good"]["revoked"], rows["acme/good"]["licence"]) == ("no", "Apache-2.0")
    document = as_cyclonedx(shown)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    (bad,) = [one for one in json.loads(document)["components"] if one["bom-ref"] == "model:acme/bad"]
    properties = {item["name"].partition(":")[2]: item["value"] for item in bad["properties"]}
    assert (properties["standing"], properties["revoked"]) == ("revoked", "yes")


# --- which of the two is the authority ---


def elsewhere(house: House, home: Path, *, log: bool) -> Settings:
    """Another machine: the gate's trust file, where its index is read, and its log or none."""
    settings = house.gate.settings.model_copy(
        update={"home": home, "trust": home / "trust.json", "index": str(house.gate.settings.own_index)}
    )
    home.mkdir()
    shutil.copy(house.gate.settings.trust, settings.trust)
    if log:
        settings.log.parent.mkdir()
        shutil.copy(house.gate.settings.log, settings.log)
    return settings


def standings(ledger: Ledger) -> dict[str, str]:
    return {name: known.standing.value for name, known in ledger.models.items()}


def test_a_machine_with_the_trust_file_alone_asks_the_index(
    house: House, ledger: Ledger, tmp_path: Path
) -> None:
    asked = read_ledger(elsewhere(house, tmp_path / "home", log=False))
    assert asked.state.startswith("no log, index ")
    expected = standings(ledger)
    del expected["acme/refused"]  # refusals are in the log only
    assert standings(asked) == expected


def test_without_an_index_the_log_stands_alone_and_its_revocations_count(
    house: House, ledger: Ledger, tmp_path: Path
) -> None:
    settings = elsewhere(house, tmp_path / "home", log=True)
    trust = house.gate.trust.model_copy(update={"index": None})
    settings.trust.write_text(trust.model_dump_json())
    asked = read_ledger(settings)
    assert "index" not in asked.state
    assert standings(asked) == standings(ledger)
    assert asked.models["acme/bad"].instead == ledger.models["acme/bad"].instead


def test_an_index_that_cannot_be_reached_leaves_nothing_admitted(house: House, tmp_path: Path) -> None:
    settings = elsewhere(house, tmp_path / "home", log=True)
    asked = read_ledger(settings.model_copy(update={"index": "http://127.0.0.1:9/index"}))
    assert "index-unreachable" in asked.state
    assert standings(asked) == {"acme/bad": "revoked", "acme/gone": "revoked", "acme/refused": "refused"}
    assert asked.releases == ()


@pytest.mark.parametrize("code", ["no-index", "index-untrusted", "index-rolled-back"])
def test_an_index_that_is_not_believed_stops_the_audit(code: str, house: House, tmp_path: Path) -> None:
    settings = elsewhere(house, tmp_path / "home", log=True)
    if code == "no-index":
        settings = settings.model_copy(update={"index": str(tmp_path / "nowhere")})
    elif code == "index-untrusted":
        copied = Path(shutil.copytree(house.gate.settings.own_index, tmp_path / "index"))
        (copied / "timestamp.json").write_bytes(b"{}")
        settings = settings.model_copy(update={"index": str(copied)})
    else:
        pinned = house.gate.trust.index
        assert pinned is not None
        asks = house.gate.trust.model_copy(
            update={"index": pinned.model_copy(update={"minimum_version": 999})}
        )
        settings.trust.write_text(asks.model_dump_json())
    with pytest.raises(VerificationError) as caught:
        read_ledger(settings)
    assert caught.value.code == code


def test_a_revocation_that_only_the_log_has_counts(house: House) -> None:
    """Killed between log and index, ``revoke`` has written the one and not the other."""
    content = read_index(house.gate.settings, house.gate.trust)
    entries = AdmissionLog(house.gate.settings.log, house.gate.trust).entries()
    before = content.model_copy(update={"revoked": ()})
    told = {item.pin: item.standing for item in admissions(entries, before)}
    assert told == {item.pin: item.standing for item in admissions(entries, content)}
    assert Standing.REVOKED in told.values()


# --- the pure part, on plain values ---


def listed(sequence: int, digit: str, name: str = "acme--tiny", signed_by: str = "c" * 64) -> Listed:
    return Listed(
        name=name,
        sequence=sequence,
        manifest_digest=f"sha256:{digit * 64}",
        files_digest=f"sha256:{digit * 64}",
        source=Source(kind=SourceKind.HUB, endpoint="https://hub.example", id="acme/tiny", commit=digit * 40),
        policy_digest=f"sha256:{'0' * 64}",
        signed_by=signed_by,
        listed_at=DAY,
    )


def index_of(*items: Listed, **changes: object) -> IndexContent:
    plain = IndexContent(number=1, verifier="v", hours=1, listed=items)
    return plain.model_copy(update=changes)


def standing_of(content: IndexContent) -> dict[int, str]:
    return {item.sequence: item.standing.value for item in admissions((), content)}


THREE = (listed(1, "1"), listed(5, "5"), listed(9, "9"))


def floor(sequence: int, alias: str = "approved") -> Floor:
    return Floor(name="acme--tiny", alias=alias, sequence=sequence)


def test_below_every_alias_is_superseded() -> None:
    assert standing_of(index_of(*THREE)) == {9: "admitted", 5: "admitted", 1: "admitted"}
    content = index_of(*THREE, floors=(floor(9), floor(5, "canary")))
    assert standing_of(content) == {9: "admitted", 5: "admitted", 1: "superseded"}


def test_when_the_newest_is_revoked_the_one_before_it_stands_again() -> None:
    gone = RevokedRelease(manifest_digest=THREE[2].manifest_digest, reason="r", revoked_at=DAY)
    content = index_of(*THREE, floors=(floor(9),), revoked=(gone,))
    assert standing_of(content) == {9: "revoked", 5: "admitted", 1: "superseded"}
    both = RevokedSequences(name="acme--tiny", first=5, last=9, reason="r", revoked_at=DAY)
    assert standing_of(content.model_copy(update={"revoked": (both,)}))[1] == "admitted"
    every = RevokedSequences(first=1, last=9, reason="r", revoked_at=DAY)
    assert set(standing_of(content.model_copy(update={"revoked": (every,)})).values()) == {"revoked"}


def test_a_revoked_signer_takes_what_it_signed_and_a_renewal_stands() -> None:
    renewed = listed(12, "9", signed_by="d" * 64)
    stolen = RevokedSigner(signed_by="c" * 64, since=5, reason="stolen", revoked_at=DAY)
    content = index_of(*THREE, renewed, revoked=(stolen,), floors=(floor(12),))
    told = admissions((), content)
    assert [(item.sequence, item.code) for item in told] == [
        (12, ""), (9, "key-revoked"), (5, "key-revoked"), (1, "superseded"),
    ]  # fmt: skip
    leads_to = current("acme--tiny", told, content)
    assert leads_to is not None
    assert leads_to.sequence == 12


def test_what_was_moved_back_on_purpose_is_what_the_alias_leads_to() -> None:
    content = index_of(*THREE, floors=(floor(5),))
    leads_to = current("acme--tiny", admissions((), content), content)
    assert leads_to is not None
    assert (leads_to.sequence, leads_to.standing) == (5, Standing.ADMITTED)
    assert current("acme--other", admissions((), content), content) is None


def test_a_pin_is_a_reference() -> None:
    (one,) = admissions((), index_of(THREE[0]))
    asked = parse(one.pin, "approved")
    assert (asked.name, asked.manifest) == (one.name, one.manifest_digest)
