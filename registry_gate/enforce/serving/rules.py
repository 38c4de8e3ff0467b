"""What a serving audit can find. What could not be told is a finding as well, never silence."""

from __future__ import annotations

from registry_gate.finding import Confidence, Finding, Location, Rule, Severity

_TABLE = (
    Rule(
        id="serving-not-understood",
        title="Settings that could not be judged",
        severity=Severity.MEDIUM,
        help="Part of the file is no setting this audit knows, or its value is known at run time only. "
        "Give the file that holds the value, write it out, or look at it yourself.",
    ),
    Rule(
        id="serving-batch-unbounded",
        title="No bound on the batch",
        severity=Severity.MEDIUM,
        help="One request may ask for a batch as large as it likes, or the bound is left to be "
        "guessed. State a maximum.",
    ),
    Rule(
        id="serving-input-unbounded",
        title="No bound on the size of an input",
        severity=Severity.MEDIUM,
        help="A dimension of -1 or a missing length lets one request take all memory. Fix the "
        "dimensions, set the longest sequence, or limit the size of requests in front of the "
        "server.",
    ),
    Rule(
        id="serving-queue-unbounded",
        title="Requests queue without bound",
        severity=Severity.MEDIUM,
        help="A queue without a limit turns a burst into minutes of delay and then into memory. Set "
        "the queue's size or the concurrency.",
    ),
    Rule(
        id="serving-queue-without-timeout",
        title="Waiting requests never time out",
        severity=Severity.MEDIUM,
        help="A request that waits for ever holds its connection and memory. Set a timeout that rejects.",
    ),
    Rule(
        id="serving-rate-limit-missing",
        title="No rate limit",
        severity=Severity.LOW,
        help="Nothing limits how often the model is run. Set the server's own limit, or one in front of it.",
    ),
    Rule(
        id="serving-authentication-missing",
        title="Anyone who reaches the port may use the model",
        severity=Severity.HIGH,
        help="The server listens beyond this machine and asks for no key or token. Set one, or bind to "
        "127.0.0.1 behind a proxy that asks.",
    ),
    Rule(
        id="serving-authentication-unknown",
        title="Authentication is decided elsewhere",
        severity=Severity.LOW,
        help="These settings cannot say who may ask. Check the mesh or the gateway in front of the server.",
    ),
    Rule(
        id="serving-authentication-pretended",
        title="A parameter that looks like protection and is none",
        severity=Severity.MEDIUM,
        help="The server passes this parameter to the model's backend and does nothing with it. Use "
        "the server's own options, and keep secrets out of model configurations.",
    ),
    Rule(
        id="serving-model-control-open",
        title="Models can be loaded or replaced at run time",
        severity=Severity.HIGH,
        help="Whoever reaches the control API, or writes to the repository, decides what is served, "
        "and no gate is asked. Load what was pulled and verified at start, and nothing later.",
    ),
    Rule(
        id="serving-management-open",
        title="Management is reachable from outside",
        severity=Severity.HIGH,
        help="The management API registers and removes models. Bind it to 127.0.0.1.",
    ),
    Rule(
        id="serving-metrics-open",
        title="Metrics are reachable from outside",
        severity=Severity.LOW,
        help="Metrics tell names, versions and load of models. Bind them to an inner address.",
    ),
    Rule(
        id="serving-remote-code",
        title="Code that comes with a model is run",
        severity=Severity.HIGH,
        help="A model that brings code brings whatever its author wants to run. Serve library classes only.",
    ),
    Rule(
        id="serving-pickle-weights",
        title="Weights may be read with pickle",
        severity=Severity.HIGH,
        help="A pickle runs what it says when it is loaded. Serve safetensors, and say so in the settings.",
    ),
    Rule(
        id="serving-model-unpinned",
        title="The model is not fixed",
        severity=Severity.HIGH,
        help="What is fetched tomorrow may be another model. Serve the folder that `registry-gate "
        "pull` made, or name a commit or digest.",
    ),
    Rule(
        id="serving-image-unpinned",
        title="The server's image is not fixed",
        severity=Severity.MEDIUM,
        help="A tag can be moved. Name the image by digest.",
    ),
    Rule(
        id="serving-cors-open",
        title="Every web page may ask the server",
        severity=Severity.MEDIUM,
        help="With an allowed origin of * any page in a user's browser can use the model in their "
        "name. List the origins.",
    ),
    Rule(
        id="serving-debug-open",
        title="An option that is not for production",
        severity=Severity.HIGH,
        help="It opens files, memory or control of the server to its clients. Take it out.",
    ),
)

RULES: dict[str, Rule] = {rule.id: rule for rule in _TABLE}


def found(
    slug: str, file: str, field: str, message: str, confidence: Confidence = Confidence.HIGH
) -> Finding:
    """A finding of one of the rules, at a field of a file."""
    return Finding(
        rule=slug,
        severity=RULES[slug].severity,
        confidence=confidence,
        message=message,
        location=Location(file=file, field=field or None),
    )
