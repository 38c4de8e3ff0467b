"""Where this user's gate keeps its things: defaults, the environment, and nothing from the working folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ValidationError

from registry_gate.errors import UsageError
from registry_gate.record import Record

ADMINISTRATOR_TRUST = Path("/etc/registry-gate/trust.json")
DEFAULT_ALIAS = "approved"
_SQLITE = "sqlite:///"
_SERVERS = ("http", "https")
_NO_PATHS = ("sign_with", "passphrase_fd", "timestamp_url")
_SERVED_INDEX = "/api/2.0/mlflow-artifacts/artifacts/registry-gate-index"
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,100}")
_RESERVED_ALIAS = re.compile(r"latest|v[0-9]+", re.IGNORECASE)


SignWith = Literal["key", "sigstore", "certificate"]


class PassphraseSource(Record):
    """Where a passphrase is found: a file, an open descriptor, or else the environment; never in here."""

    variable: str
    file: Path | None = None
    descriptor: int | None = None


class SigningSettings(Record):
    """How Releases are signed and where that finds what it needs; secrets themselves are never in here.

    ``sigstore_config`` None means the public instance. ``timestamp_url`` is an RFC 3161 authority that proves
    when a certificate signed.
    """

    sign_with: SignWith = "key"
    passphrase_file: Path | None = None
    passphrase_fd: int | None = None
    sigstore_config: Path | None = None
    sigstore_token_file: Path | None = None
    certificate: Path | None = None
    certificate_chain: Path | None = None
    certificate_key: Path | None = None
    timestamp_url: str | None = None

    @property
    def passphrase_source(self) -> PassphraseSource:
        """Where the passphrase of the signing key is found."""
        return PassphraseSource(
            variable="REGISTRY_GATE_PASSPHRASE", file=self.passphrase_file, descriptor=self.passphrase_fd
        )

    @property
    def online(self) -> bool:
        """Whether signing talks to a service."""
        asked = self.sign_with == "certificate" and self.timestamp_url is not None
        return self.sign_with == "sigstore" or asked

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that signing with a certificate reads."""
        if self.sign_with != "certificate":
            return ()
        named = (self.certificate, self.certificate_chain, self.certificate_key)
        return tuple(path for path in named if path is not None)


class Settings(Record):
    """All paths are absolute.

    ``trust`` is the user's own file; ``administrator_trust``, where it exists, is the ceiling that the user's
    file, the environment and arguments can only narrow. ``index``, a folder or an http(s) address, is where
    the signed index is read from, if not where the trust file says; what lies there proves itself.
    ``index_passphrase_file`` opens the index's keys where they are encrypted.
    """

    home: Path
    registry_uri: str
    trust: Path
    administrator_trust: Path
    signing: SigningSettings = SigningSettings()
    index: str | None = None
    index_passphrase_file: Path | None = None

    @property
    def index_passphrase(self) -> PassphraseSource:
        """Where the passphrase of the index's keys is found."""
        return PassphraseSource(variable="REGISTRY_GATE_INDEX_PASSPHRASE", file=self.index_passphrase_file)

    @property
    def keys(self) -> Path:
        """Folder of the signing key, mode 0700."""
        return self.home / "keys"

    @property
    def log(self) -> Path:
        """The admission log."""
        return self.home / "log" / "admissions.jsonl"

    @property
    def default_index(self) -> str:
        """Where the index lies if nobody says otherwise: beside a server's artifacts, or under home."""
        embedded = self.registry_uri.startswith(_SQLITE)
        return str(self.own_index) if embedded else f"{self.registry_uri}{_SERVED_INDEX}"

    @property
    def own_index(self) -> Path:
        """Where this gate writes its index; published elsewhere when ``index`` is another place."""
        return self.home / "index"

    @property
    def index_keys(self) -> Path:
        """Folder of the index's keys, mode 0700; never the folder of the signing key."""
        return self.home / "index-keys"

    @property
    def approver_keys(self) -> Path:
        """Folder of approvers' keys made here, mode 0700; each belongs with its person."""
        return self.home / "approver-keys"

    @property
    def seen(self) -> Path:
        """What this user has seen of an index: the memory that notices when an older one is shown."""
        return self.home / "seen"

    @property
    def held(self) -> Path:
        """Staged files of candidates that wait for an approval, by sequence number."""
        return self.home / "held"

    @property
    def reports(self) -> Path:
        """Folder of the reports that commands write when not told where."""
        return self.home / "reports"

    @property
    def work(self) -> Path:
        """Folder of snapshots and staging; everything in it may be deleted when no command runs."""
        return self.home / "work"

    @property
    def artifact_root(self) -> Path | None:
        """Artifact folder of an embedded (sqlite) registry, None for a server."""
        if not self.registry_uri.startswith(_SQLITE):
            return None
        return Path(self.registry_uri.removeprefix(_SQLITE)).parent / "artifacts"


def load(
    home: Path | str | None = None,
    *,
    registry_uri: str | None = None,
    sign_with: str | None = None,
    administrator_trust: Path = ADMINISTRATOR_TRUST,
    index: str | None = None,
    index_passphrase_file: Path | None = None,
) -> Settings:
    """Read the settings: arguments first, then ``REGISTRY_GATE_*``, then the defaults under the home folder.

    Args:
        home: folder of keys, log and embedded registry (``REGISTRY_GATE_HOME``, ``~/.registry-gate``).
        registry_uri: MLflow tracking URI (``REGISTRY_GATE_REGISTRY_URI``, an sqlite file under home).
        sign_with: ``key``, ``sigstore`` or ``certificate`` (``REGISTRY_GATE_SIGN_WITH``, key).
        administrator_trust: for tests only; the real path is fixed.
        index: folder or http(s) address of the index (``REGISTRY_GATE_INDEX``); None: where the trust
            file says, or ``default_index``.
        index_passphrase_file: of the index's keys (``REGISTRY_GATE_INDEX_PASSPHRASE_FILE``).

    Raises:
        UsageError: ``bad-registry-uri``, ``bad-home``, ``bad-index-address``, ``bad-signing-settings``.
    """
    root = _absolute(home or os.environ.get("REGISTRY_GATE_HOME") or "~/.registry-gate")
    asked = registry_uri or os.environ.get("REGISTRY_GATE_REGISTRY_URI")
    trust = os.environ.get("REGISTRY_GATE_TRUST")
    address = index or os.environ.get("REGISTRY_GATE_INDEX")
    passphrase = index_passphrase_file or os.environ.get("REGISTRY_GATE_INDEX_PASSPHRASE_FILE")
    return Settings(
        home=root,
        registry_uri=_checked_uri(asked or f"{_SQLITE}{root}/registry/mlflow.db"),
        trust=_absolute(trust) if trust else root / "trust.json",
        administrator_trust=administrator_trust,
        signing=_signing(sign_with),
        index=_checked_index(address) if address else None,
        index_passphrase_file=_absolute(passphrase) if passphrase else None,
    )


def _signing(sign_with: str | None) -> SigningSettings:
    """From ``REGISTRY_GATE_*``, each variable named after its field."""
    found: dict[str, str] = {"sign_with": sign_with} if sign_with else {}
    for name in SigningSettings.model_fields:
        value = os.environ.get(f"REGISTRY_GATE_{name.upper()}")
        if value and name not in found:
            found[name] = str(_absolute(value)) if name not in _NO_PATHS else value
    try:
        return SigningSettings.model_validate(found, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            "bad-signing-settings",
            f"REGISTRY_GATE_{str(first['loc'][0]).upper()}: {first['msg']}",
            todo="see `registry-gate admit --help` and docs/signing.md",
        ) from error


def _absolute(path: Path | str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            "bad-home",
            f"{str(path)[:200]!r}: {error}",
            todo="give an absolute path in REGISTRY_GATE_HOME or REGISTRY_GATE_TRUST",
        ) from error


def _checked_index(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in _SERVERS:
        return str(_absolute(address))
    if "@" in parts.netloc or parts.query or parts.fragment or not parts.hostname:
        raise UsageError(
            "bad-index-address",
            f"{address.partition(':')[0]}://... is no address of an index",
            why="it carries a user name, a query or a fragment, or names no host",
            todo="give the plain address of the folder that holds timestamp.json",
        )
    return address.rstrip("/")


def _checked_uri(uri: str) -> str:
    """Refuse URIs that would make files in the working folder, and passwords in a place that gets logged.

    Other databases than sqlite are reached through a tracking server: it knows where their artifacts go.
    """
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_uri(uri, str(error)) from error
    if parts.scheme not in ("sqlite", *_SERVERS):
        raise _bad_uri(uri, f"its scheme is not one of sqlite, {', '.join(_SERVERS)}")
    if "@" in parts.netloc:
        raise _bad_uri(uri, "it carries a user name or password")
    if parts.query or parts.fragment or "?" in uri or "#" in uri:
        raise _bad_uri(uri, "nothing may follow its path")
    if parts.scheme == "sqlite":
        return _checked_database(uri)
    if not host:
        raise _bad_uri(uri, "it names no host")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _checked_database(uri: str) -> str:
    path = uri.removeprefix(_SQLITE)
    if not uri.startswith(f"{_SQLITE}/"):
        raise _bad_uri(uri, "an sqlite registry needs an absolute path: four slashes")
    if path.endswith("/") or Path(path).name in ("", "..") or _is_folder(Path(path)):
        raise _bad_uri(uri, "it names a folder, not a database file")
    if "%" in path:
        # The database library would decode it and open another path.
        raise _bad_uri(uri, "its path holds a '%'")
    return uri


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # not to be looked at; opening it will say why
        return False


def check_alias(alias: str) -> str:
    """Return the alias if a registry can hold it and ``models:/name@alias`` can name it.

    Raises:
        UsageError: ``bad-alias``.
    """
    if not _ALIAS.fullmatch(alias) or _RESERVED_ALIAS.fullmatch(alias):
        raise UsageError(
            "bad-alias",
            f"{alias[:200]!r} is no alias",
            why="an alias is at most 100 letters, digits, '-' and '_'; 'latest' and 'v1', 'v2' are taken",
            todo="choose another one",
        )
    return alias


def _bad_uri(uri: str, detail: str) -> UsageError:
    shown = uri.partition(":")[0] + "://..." if "@" in uri else uri
    return UsageError(
        "bad-registry-uri",
        f"registry URI {shown[:200]!r} cannot be used: {detail}",
        todo="give sqlite:////absolute/path/mlflow.db or http(s)://host:port; the user name and password of "
        "a server belong in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    )
