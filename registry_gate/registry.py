"""The model registry, through MLflow: it finds things and proves nothing. The only module that names mlflow.

Every step is a method of its own, so that the corridor can be stopped between any two of them.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from registry_gate.errors import Error, FetchError, ToolError, VerificationError
from registry_gate.quiet_mlflow import quiet
from registry_gate.record import Record
from registry_gate.release import Release

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_EXPERIMENT = "registry-gate"
_ARTIFACT_PATH = "release"
_SQLITE = "sqlite:///"
_TAG = "registry_gate."
_MAX_VERSIONS = 100_000
_STORES = frozenset({"s3", "gs", "r2", "b2", "wasb", "wasbs", "abfss", "oss", "hdfs", "viewfs"})
_ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})


class Upload(Record):
    """Bytes in the store that no version names yet."""

    run_id: str
    source_uri: str


class RegisteredVersion(Record):
    """What the registry says of one version; the optional fields are tags, so hints, never proof."""

    name: str
    version: int
    source_uri: str
    run_id: str
    commit: str | None = None
    sequence: int | None = None
    manifest_digest: str | None = None


class Registry:
    """One MLflow tracking server or embedded sqlite store, by URI.

    For a server that asks for them, user name and password are read from ``MLFLOW_TRACKING_USERNAME`` and
    ``MLFLOW_TRACKING_PASSWORD``.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client: MlflowClient | None = None

    def upload(self, release: Release) -> Upload:
        """Store a copy of the Release under a new run; no version or alias points at it yet.

        Raises:
            ToolError: ``registry-failed``; ``name-not-storable`` for names that MLflow's upload would change.
        """
        if self.uri.startswith("http"):
            _check_names(release.root)
        with self._working("upload the Release") as client:
            with self._first_use():
                experiment = self._experiment(client)
            run = client.create_run(experiment, run_name=release.registered_name)
            client.log_artifacts(run.info.run_id, str(release.root), _ARTIFACT_PATH)
            client.set_terminated(run.info.run_id)
            return Upload(run_id=run.info.run_id, source_uri=f"{run.info.artifact_uri}/{_ARTIFACT_PATH}")

    def create_version(self, release: Release, upload: Upload) -> RegisteredVersion:
        """Register what was uploaded as a version of the Release's name; its tags only inform.

        Raises:
            ToolError: ``registry-failed``.
        """
        tags = {
            f"{_TAG}commit": release.source.commit,
            f"{_TAG}id": release.source.id,
            f"{_TAG}endpoint": release.source.endpoint,
            f"{_TAG}sequence": str(release.terms.sequence),
            f"{_TAG}manifest": release.manifest_digest,
        }
        with self._working("create the version") as client:
            self._create_name(client, release.registered_name)
            made = client.create_model_version(
                release.registered_name, source=upload.source_uri, run_id=upload.run_id, tags=tags
            )
            return _record(made)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version.

        Raises:
            ToolError: ``registry-failed``.
        """
        with self._working("move the alias") as client:
            client.set_registered_model_alias(name, alias, str(version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away; one that is not there is no error.

        Raises:
            ToolError: ``registry-failed``.
        """
        if self.version_for(name, alias) is not None:
            with self._working("clear the alias") as client:
                client.delete_registered_model_alias(name, alias)

    def names(self) -> dict[str, dict[str, int]]:
        """Every registered name with its aliases and the versions they point at, in order.

        Raises:
            ToolError: ``registry-failed``.
        """
        found: dict[str, dict[str, int]] = {}
        token: str | None = None
        with self._working("list the models") as client:
            while True:
                page = client.search_registered_models(max_results=200, page_token=token)
                found |= {str(item.name): _aliases(item.aliases) for item in page}
                token = page.token
                if not token or len(found) > _MAX_VERSIONS:
                    return dict(sorted(found.items()))

    def version_for(self, name: str, alias: str | int) -> RegisteredVersion | None:
        """The version that an alias (text) or a version number points at, None if there is none.

        Raises:
            ToolError: ``registry-failed``.
        """
        with self._working("look up the model") as client:
            from mlflow.exceptions import MlflowException

            try:
                if isinstance(alias, int):
                    return _record(client.get_model_version(name, str(alias)))
                return _record(client.get_model_version_by_alias(name, alias))
            except MlflowException as error:
                if error.error_code in _ABSENT:
                    return None
                raise

    def versions(self, name: str) -> tuple[RegisteredVersion, ...]:
        """Every version of a name, newest first.

        Raises:
            ToolError: ``registry-failed``.
        """
        quoted = name.replace("'", "")
        found: list[RegisteredVersion] = []
        token: str | None = None
        with self._working("list the versions") as client:
            while True:
                page = client.search_model_versions(f"name='{quoted}'", page_token=token)
                found += [_record(item) for item in page if item.name == name]
                token = page.token
                if not token or len(found) > _MAX_VERSIONS:
                    break
        return tuple(sorted(found, key=lambda item: item.version, reverse=True))

    def download(self, source_uri: str, destination: Path) -> Path:
        """Copy what a version's source holds into a new private folder; links stay links, for the verifier.

        Raises:
            VerificationError: ``missing-file`` when the store holds nothing there.
            FetchError: ``no-such-release`` for what is no address of a store, ``registry-unreadable``.
        """
        destination.mkdir(mode=0o700)
        local = local_path(source_uri)
        if local is not None:
            _copy_local(local, destination)
            return destination
        if not self._is_store(source_uri):
            raise FetchError(
                "no-such-release", f"a version's source is {source_uri[:200]!r}, no store's address"
            )
        scratch = Path(tempfile.mkdtemp(dir=destination.parent, prefix=".download-"))
        try:
            with self._working("download the Release") as client:
                fetched = _download(source_uri, scratch, client.tracking_uri)
            shutil.copytree(fetched, destination, symlinks=True, dirs_exist_ok=True)
        except ToolError as error:
            raise FetchError("registry-unreadable", error.message, todo=error.todo) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return destination

    def put_file(self, path: Path, folder: str) -> None:
        """Store one file under a folder of the server's artifacts, beside those of all runs.

        Raises:
            ToolError: ``registry-failed``.
        """
        with self._working(f"store {path.name}") as client:
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            place = f"mlflow-artifacts:/{folder}"
            get_artifact_repository(place, tracking_uri=client.tracking_uri).log_artifact(str(path))

    def _is_store(self, source_uri: str) -> bool:
        """True for this server's own artifacts and for object stores.

        Anything else MLflow would look for in the working folder, or ask of another server, to which it would
        send the user name and password of this one.
        """
        try:
            parts = urlsplit(source_uri)
        except ValueError:
            return False
        if parts.scheme == "mlflow-artifacts":
            return not parts.netloc
        own = source_uri.startswith(f"{self.uri}/") and self.uri.startswith("http")
        return own or (parts.scheme in _STORES and bool(parts.netloc))

    @contextmanager
    def _working(self, doing: str) -> Iterator[MlflowClient]:
        """Lend the client, quietly, and turn whatever MLflow raises into one of our errors."""
        try:
            with quiet():
                yield self._open()
        except Error:
            raise
        except ImportError as error:
            raise ToolError(
                "mlflow-missing",
                f"the registry at {self.uri} needs MLflow: {error}",
                todo="pip install 'registry-gate[gate]', or name a Release folder",
            ) from error
        except Exception as error:  # MLflow lets its database's and transport's own errors through
            raise ToolError(
                "registry-failed",
                f"could not {doing} at {self.uri}: {type(error).__name__}: {str(error)[:300]}",
                why="the registry did not do what it was asked; nothing was verified by it",
                todo="check that the registry is reachable and that you may write to it, then run again",
            ) from error

    def _open(self) -> MlflowClient:
        if self._client is None:
            from mlflow import MlflowClient

            with self._first_use():
                client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
                client.get_experiment_by_name(_EXPERIMENT)
            self._client = client
        return self._client

    @contextmanager
    def _first_use(self) -> Iterator[None]:
        """One process at a time makes or migrates the tables of an embedded store."""
        if not self.uri.startswith(_SQLITE):
            yield
            return
        database = Path(self.uri.removeprefix(_SQLITE))
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with database.with_name(f"{database.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # MLflow would try to open what is no database for a minute and a half.
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA schema_version")
            yield

    def _experiment(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(_EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self.uri.startswith(_SQLITE):
            location = str(Path(self.uri.removeprefix(_SQLITE)).parent / "artifacts")
        try:
            return str(client.create_experiment(_EXPERIMENT, artifact_location=location))
        except Exception:
            # Another gate may have made it in between; if not, the first error is the one to show.
            found = client.get_experiment_by_name(_EXPERIMENT)
            if found is None:
                raise
            return str(found.experiment_id)

    def _create_name(self, client: MlflowClient, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _check_names(root: Path) -> None:
    """MLflow (3.17) puts file names into URLs unquoted: the server would store another name, or none."""
    for path in root.rglob("*"):
        if any(character in path.name for character in "#?%"):
            raise ToolError(
                "name-not-storable",
                f"a tracking server cannot store the file name {ascii(path.name)[:200]}",
                todo="use an embedded registry, or have the file renamed at the source",
            )


def local_path(source_uri: str) -> Path | None:
    """The folder a source URI names on this machine, None for a remote store."""
    if source_uri.startswith("/"):
        return Path(source_uri)
    try:
        parts = urlsplit(source_uri)
    except ValueError:
        return None
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    return None


def _aliases(aliases: Mapping[str, object]) -> dict[str, int]:
    return {str(alias): int(str(version)) for alias, version in aliases.items()}


def _record(version: ModelVersion) -> RegisteredVersion:
    sequence = str(version.tags.get(f"{_TAG}sequence", ""))
    return RegisteredVersion(
        name=str(version.name),
        version=int(version.version),
        source_uri=str(version.source),
        run_id=str(version.run_id or ""),
        commit=version.tags.get(f"{_TAG}commit"),
        manifest_digest=version.tags.get(f"{_TAG}manifest"),
        sequence=int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 19 else None,
    )


def _copy_local(source: Path, destination: Path) -> None:
    if not source.is_dir():
        raise VerificationError(
            "missing-file",
            f"the registry's version points at {str(source)[:200]!r}, where there is no folder",
            why="the store lost it, or somebody moved or removed it",
            todo="admit the model again",
        )
    try:
        shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise FetchError("registry-unreadable", f"{source}: {str(error)[:300]}") from error
    # copytree gave the folder the mode it has in the store
    destination.chmod(0o700)


def _download(source_uri: str, scratch: Path, tracking_uri: str) -> str:
    import mlflow.artifacts

    return str(
        mlflow.artifacts.download_artifacts(
            artifact_uri=source_uri, dst_path=str(scratch), tracking_uri=tracking_uri
        )
    )
