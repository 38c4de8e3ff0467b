"""What a status means: gone, gated, later, elsewhere; each with a stable code."""

from __future__ import annotations

from collections.abc import Mapping

from registry_gate.errors import FetchError
from registry_gate.sources.guard import quoted

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class TransientError(FetchError):
    """A failure that may pass: the connection broke, or the server said "later"."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(
            "fetch-failed",
            f"fetch failed, not admitted: {message}",
            why="what was not read was not examined",
            todo="try again; if it persists, check the network and the endpoint",
        )
        self.retry_after = retry_after


def refuse_status(status: int, headers: Mapping[str, str], url: str) -> None:
    """Turn any status but success into an error with a stable code.

    Raises:
        TransientError: 408, 425, 429 and the passing kinds of 5xx.
        FetchError: ``repository-not-found``, ``revision-not-found``, ``file-not-found``,
            ``repository-gated``, ``repository-disabled``, ``fetch-refused``.
    """
    if status in (200, 206):
        return
    if status in _TRANSIENT:
        raise TransientError(f"status {status} for {quoted(url)}", retry_after=_retry_after(headers))
    said = headers.get("x-error-code", "")
    if "disabled" in headers.get("x-error-message", "").lower():
        said = "Disabled"
    if said not in _SAID:
        said = "RepoNotFound" if status == 401 else ""
    code, message, todo = _SAID.get(said, ("fetch-refused", f"status {status}", "check the id and the token"))
    raise FetchError(code, f"fetch failed, not admitted: {message} ({quoted(url)})", todo=todo)


_SAID = {
    "RepoNotFound": (
        "repository-not-found",
        "there is no such repository, or it is private",
        "check the spelling; give a token if the repository is private",
    ),
    "RevisionNotFound": (
        "revision-not-found",
        "the repository has no such revision",
        "check the branch, tag or commit",
    ),
    "EntryNotFound": (
        "file-not-found",
        "a listed file cannot be fetched",
        "try again; the repository may have changed",
    ),
    "GatedRepo": (
        "repository-gated",
        "the repository is gated",
        "accept its conditions on its page and give a token of that account",
    ),
    "Disabled": ("repository-disabled", "the hub has disabled the repository", "ask the hub why"),
}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def elsewhere(url: str) -> FetchError:
    """The error of being led to where the endpoint does not speak for itself."""
    return FetchError(
        "redirected-elsewhere",
        f"fetch failed, not admitted: the endpoint leads to {quoted(url)}",
        why="only the endpoint that the policy lists speaks for a repository",
    )
