"""What the audit can find. Severity says what happens to a build: medium and above fail it by default."""

from __future__ import annotations

from registry_gate.finding import Rule, Severity

_GO = "Admit the model (`registry-gate admit`); then use `load_verified`, or `registry-gate pull` for a copy."


def _rule(name: str, severity: Severity, title: str, help_: str) -> Rule:
    return Rule(id=name, title=title, severity=severity, help=help_)


_ALL = (
    _rule("hub-load", Severity.HIGH, "A library loads a model from a public hub", _GO),
    _rule("hub-download", Severity.HIGH, "Files are fetched from a public hub", _GO),
    _rule("hub-serve", Severity.HIGH, "A program is told to run a model of a public hub", _GO),
    _rule("hub-reference", Severity.MEDIUM, "A setting names a model of a public hub", _GO),
    _rule(
        "model-not-told",
        Severity.MEDIUM,
        "A model is loaded, and which one could not be told",
        "Name the model where it is loaded, or use `load_verified`; what cannot be told is not trusted.",
    ),
    _rule(
        "remote-code",
        Severity.CRITICAL,
        "Code that comes with a model or data set is executed",
        "Never set trust_remote_code; models are built from library classes only.",
    ),
    _rule(
        "unpinned-revision",
        Severity.LOW,
        "The revision is a name that its owner can move",
        "Pin a commit of 40 digits until the model is loaded with `load_verified`, which pins its bytes.",
    ),
    _rule(
        "unsafe-format",
        Severity.HIGH,
        "The safe weight format is switched off",
        "Leave use_safetensors alone; a pickle can run code when it is opened.",
    ),
    _rule(
        "unverified-pickle",
        Severity.HIGH,
        "A file that can run code is opened without having been verified",
        _GO,
    ),
    _rule(
        "unverified-weights",
        Severity.LOW,
        "Local weights are read without having been verified",
        "Weights of one's own training are one's own; anything else comes through `load_verified` or `pull`.",
    ),
    _rule(
        "registry-load",
        Severity.MEDIUM,
        "A registry's model is loaded without verifying it",
        "Use `load_verified`: it takes the same `models:/` reference and checks every byte first.",
    ),
    _rule(
        "hub-endpoint",
        Severity.MEDIUM,
        "The environment points libraries at a hub, or lets them reach it",
        "Set HF_HUB_OFFLINE=1 and drop HF_ENDPOINT where models are only loaded.",
    ),
    _rule(
        "hub-setting",
        Severity.LOW,
        "The environment prepares downloads from a hub",
        "A process that only loads admitted models needs neither a hub token nor fast transfer.",
    ),
    _rule("model-dependency", Severity.HIGH, "A package is installed from a model hub", _GO),
    _rule(
        "look-alike",
        Severity.HIGH,
        "The model's name imitates one that people trust",
        "Check the spelling on the page of the model that is meant.",
    ),
    _rule(
        "revoked-model",
        Severity.CRITICAL,
        "The model was admitted once and has been revoked",
        "Stop using it; the log says why it was revoked.",
    ),
    _rule(
        "could-not-tell",
        Severity.MEDIUM,
        "The file could not be read as what it is",
        "Repair it or exclude it by name; what could not be looked at is never taken for fine.",
    ),
    _rule(
        "suppression-invalid",
        Severity.MEDIUM,
        "A suppression without a reason, without an expiry, or past it",
        'Write `# registry-gate: allow RULE until=YYYY-MM-DD reason="..."`, or remove it.',
    ),
)
RULES = {rule.id: rule for rule in _ALL}
