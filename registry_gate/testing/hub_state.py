"""All that a loopback hub knows: repositories, lies it was told to tell, failures it was told to have."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from registry_gate.testing.hub_messages import Failure, Seen, Tamper
from registry_gate.testing.repository import JsonValue, Repository


@dataclass(frozen=True)
class Owner:
    """An account that owns repositories; ``kind`` is ``organizations`` or ``users``."""

    kind: str
    owner_id: str
    verified: bool = False
    created_at: datetime | None = None


@dataclass
class HubState:
    """Shared by the test's thread and the server's; ``lock`` guards what both change."""

    page_size: int
    lock: threading.RLock = field(default_factory=threading.RLock)
    stopping: threading.Event = field(default_factory=threading.Event)
    repositories: dict[str, Repository] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    made: int = 0
    tokens: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    tampers: dict[tuple[str, str], Tamper | None] = field(default_factory=dict)
    restated: dict[tuple[str, str], Mapping[str, JsonValue]] = field(default_factory=dict)
    entries: dict[str, list[dict[str, JsonValue]]] = field(default_factory=dict)
    said_ids: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    file_redirects: dict[str, str] = field(default_factory=dict)
    api_redirects: dict[str, str] = field(default_factory=dict)
    next_origin: str | None = None
    ranges: bool = True
    closed: set[str] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)

    def new_id(self) -> str:
        """An id that no account or repository of this hub had before: 24 hexadecimal digits."""
        with self.lock:
            self.made += 1
            return f"{self.made:024x}"

    def record(self, seen: Seen) -> None:
        """Remember a request."""
        with self.lock:
            self.seen.append(seen)

    def next_failure(self, target: str) -> Failure | None:
        """Take the first queued failure that this request meets, if any."""
        with self.lock:
            for index, failure in enumerate(self.failures):
                if failure.match in target:
                    return self.failures.pop(index)
        return None
