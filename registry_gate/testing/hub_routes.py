"""Which answer belongs to which request: the hub's routes over the state of a loopback hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, quote, unquote, urlsplit

from registry_gate.testing import hub_answers
from registry_gate.testing.hub_messages import Content, Reply, Seen, error_reply, json_reply
from registry_gate.testing.hub_state import HubState
from registry_gate.testing.repository import Commit, JsonValue, Repository

Query = Mapping[str, list[str]]
_VERBS = ("revision", "tree", "paths-info", "commits", "refs", "resolve")


def answer(state: HubState, seen: Seen, body: bytes) -> Reply:
    """Answer one request."""
    parts = urlsplit(seen.target)
    query = parse_qs(parts.query)
    segments = parts.path.strip("/").split("/")
    if segments[:1] == ["api"] and state.closed.intersection(segments):
        return error_reply(404, "NotFound", "no such endpoint")
    if segments[:1] == ["api"] and segments[1:2] in (["organizations"], ["users"]):
        return _owner(state, segments[1], unquote("/".join(segments[2:]).removesuffix("/overview")))
    if segments[:2] == ["api", "models"]:
        return _model(state, seen, segments[2:], query, body)
    if "resolve" in segments[1:3]:
        return _model(state, seen, segments, query, body)
    return error_reply(404, "NotFound", "no such endpoint")


def _owner(state: HubState, kind: str, name: str) -> Reply:
    owner = state.owners.get(name)
    if owner is None or owner.kind != kind:
        return error_reply(404, "NotFound", "no such account")
    return json_reply(hub_answers.owner(name, owner))


def _model(state: HubState, seen: Seen, segments: list[str], query: Query, body: bytes) -> Reply:
    at = next((index for index in (1, 2) if segments[index : index + 1] and segments[index] in _VERBS), None)
    raw_id = segments[:at] if at else segments
    model_id = "/".join(unquote(part) for part in raw_id)
    if model_id in state.renamed:
        target = seen.target.replace("/".join(raw_id), quote(state.renamed[model_id]), 1)
        return Reply(307, {"Location": target})
    if model_id in state.api_redirects and seen.target.startswith("/api/"):
        return Reply(307, {"Location": state.api_redirects[model_id] + seen.target})
    repository = state.repositories.get(model_id)
    if repository is None or (repository.metadata.private and not _opens(state, seen)):
        return error_reply(404 if _opens(state, seen) else 401, "RepoNotFound", "Repository not found")
    verb, rest = (segments[at], [unquote(part) for part in segments[at + 1 :]]) if at else ("", [])
    if verb == "refs":
        return json_reply(hub_answers.refs(repository))
    commit = repository.commit(rest[0] if rest else "main")
    if commit is None:
        return error_reply(404, "RevisionNotFound", f"Invalid rev id: {rest[0] if rest else 'main'}")
    return _at_commit(state, seen, repository, commit, (verb, "/".join(rest[1:])), query, body)


def _at_commit(
    state: HubState,
    seen: Seen,
    repository: Repository,
    commit: Commit,
    asked: tuple[str, str],
    query: Query,
    body: bytes,
) -> Reply:
    verb, path = asked
    if verb == "resolve":
        return _file(state, seen, repository, commit, path)
    if verb == "tree":
        entries = _tree(state, repository, commit, path, query)
        return _paged(state, seen, entries, query)
    if verb == "commits":
        history = repository.history(commit)
        reply = _paged(state, seen, hub_answers.commits(history), query)
        return Reply(200, {**reply.headers, "X-Total-Count": str(len(history))}, reply.content)
    if verb == "paths-info":
        return json_reply([*_paths_info(repository, commit, body)])
    said_id = state.said_ids.get(repository.model_id, repository.model_id)
    blobs, security = "blobs" in query, "securityStatus" in query
    return json_reply(hub_answers.info(repository, commit, said_id, blobs=blobs, security=security))


def _opens(state: HubState, seen: Seen) -> bool:
    return seen.headers.get("authorization", "").removeprefix("Bearer ") in state.tokens


def _true(query: Query, name: str) -> bool:
    return query.get(name, ["false"])[0].lower() in ("true", "1")


def _tree(
    state: HubState, repository: Repository, commit: Commit, below: str, query: Query
) -> list[hub_answers.Answer]:
    recursive, expand = _true(query, "recursive"), _true(query, "expand")
    entries = hub_answers.tree(repository, commit, below, recursive=recursive, expand=expand)
    restated = [
        {**entry, **state.restated.get((repository.model_id, str(entry["path"])), {})} for entry in entries
    ]
    return restated + state.entries.get(repository.model_id, [])


def _paths_info(repository: Repository, commit: Commit, body: bytes) -> list[hub_answers.Answer]:
    if body.startswith(b"{"):
        asked = json.loads(body)
        paths, expand = [str(path) for path in asked["paths"]], bool(asked.get("expand"))
    else:
        form = parse_qs(body.decode())
        paths, expand = form.get("paths", []), _true(form, "expand")
    known = [path for path in paths if path in commit.files]
    return [hub_answers.file_entry(repository, commit, path, expand=expand) for path in known]


def _paged(state: HubState, seen: Seen, entries: list[hub_answers.Answer], query: Query) -> Reply:
    start = int(query.get("cursor", ["0"])[0])
    size = min(state.page_size, int(query.get("limit", [str(state.page_size)])[0]))
    page: list[JsonValue] = [*entries[start : start + size]]
    headers = {}
    if start + size < len(entries):
        parts = urlsplit(seen.target)
        kept = "&".join(item for item in parts.query.split("&") if item and not item.startswith("cursor="))
        target = f"{parts.path}?{kept}{'&' if kept else ''}cursor={start + size}"
        origin = state.next_origin or f"http://{seen.headers['host']}"
        headers["Link"] = f'<{origin}{target}>; rel="next"'
    return json_reply(page, headers)


def _file(state: HubState, seen: Seen, repository: Repository, commit: Commit, path: str) -> Reply:
    metadata = repository.metadata
    if metadata.disabled:
        return error_reply(403, "Disabled", "Access to this resource is disabled.")
    if metadata.gated and not _opens(state, seen):
        return error_reply(403, "GatedRepo", "Access to this model is restricted.")
    blob = commit.files.get(path)
    if blob is None:
        return error_reply(404, "EntryNotFound", "Entry not found")
    headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes"}
    if blob.lfs:
        headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
    if repository.model_id in state.file_redirects:
        location = state.file_redirects[repository.model_id] + urlsplit(seen.target).path
        return Reply(302, {**headers, "Location": location})
    tamper = state.tampers.get((repository.model_id, path))
    if tamper is not None and tamper.encoding:
        headers["Content-Encoding"] = tamper.encoding
    return Reply(200, headers, Content.of(blob, tamper), ranges=state.ranges)
