"""What a serving audit can find. What could not be told is a finding as well, never silence."""

from __future__ import annotations

from registry_gate.finding import Confidence, Finding, Location, Rule, Severity

_TABLE = (
    ("serving-not-understood", "Settings that could not be judged", Severity.MEDIUM,
     "Part of the file is no setting this audit knows, or its value is known at run time only. Give the file that "
     "holds the value, write it out, or look at it yourself."),
    ("serving-batch-unbounded", "No bound on the batch", Severity.MEDIUM,
     "One request may ask for a batch as large as it likes, or the bound is left to be guessed. State a maximum."),
    ("serving-input-unbounded", "No bound on the size of an input", Severity.MEDIUM,
     "A dimension of -1 or a missing length lets one request take all memory. Fix the dimensions, set the longest "
     "sequence, or limit the size of requests in front of the server."),
    ("serving-queue-unbounded", "Requests queue without bound", Severity.MEDIUM,
     "A queue without a limit turns a burst into minutes of delay and then into memory. Set the queue's size or "
     "the concurrency."),
    ("serving-queue-without-timeout", "Waiting requests never time out", Severity.MEDIUM,
     "A request that waits for ever holds its connection and memory. Set a timeout that rejects."),
    ("serving-rate-limit-missing", "No rate limit", Severity.LOW,
     "Nothing limits how often the model is run. Set the server's own limit, or one in front of it."),
    ("serving-authentication-missing", "Anyone who reaches the port may use the model", Severity.HIGH,
     "The server listens beyond this machine and asks for no key or token. Set one, or bind to 127.0.0.1 behind a "
     "proxy that asks."),
    ("serving-authentication-unknown", "Authentication is decided elsewhere", Severity.LOW,
     "These settings cannot say who may ask. Check the mesh or the gateway in front of the server."),
    ("serving-authentication-pretended", "A parameter that looks like protection and is none", Severity.MEDIUM,
     "The server passes this parameter to the model's backend and does nothing with it. Use the server's own "
     "options, and keep secrets out of model configurations."),
    ("serving-model-control-open", "Models can be loaded or replaced at run time", Severity.HIGH,
     "Whoever reaches the control API, or writes to the repository, decides what is served, and no gate is asked. "
     "Load what was pulled and verified at start, and nothing later."),
    ("serving-management-open", "Management is reachable from outside", Severity.HIGH,
     "The management API registers and removes models. Bind it to 127.0.0.1."),
    ("serving-metrics-open", "Metrics are reachable from outside", Severity.LOW,
     "Metrics tell names, versions and load of models. Bind them to an inner address."),
    ("serving-remote-code", "Code that comes with a model is run", Severity.HIGH,
     "A model that brings code brings whatever its author wants to run. Serve library classes only."),
    ("serving-pickle-weights", "Weights may be read with pickle", Severity.HIGH,
     "A pickle runs what it says when it is loaded. Serve safetensors, and say so in the settings."),
    ("serving-model-unpinned", "The model is not fixed", Severity.HIGH,
     "What is fetched tomorrow may be another model. Serve the folder that `registry-gate pull` made, or name a "
     "commit or digest."),
    ("serving-image-unpinned", "The server's image is not fixed", Severity.MEDIUM,
     "A tag can be moved. Name the image by digest."),
    ("serving-cors-open", "Every web page may ask the server", Severity.MEDIUM,
     "With an allowed origin of * any page in a user's browser can use the model in their name. List the origins."),
    ("serving-debug-open", "An option that is not for production", Severity.HIGH,
     "It opens files, memory or control of the server to its clients. Take it out."),
)  # fmt: skip

RULES: dict[str, Rule] = {
    slug: Rule(id=slug, title=title, severity=severity, help=text) for slug, title, severity, text in _TABLE
}


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
