"""What a source is: something that lists a candidate at a pinned commit and then hands over its bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from registry_gate.candidate import Candidate, Listing, Snapshot
from registry_gate.policy import Policy
from registry_gate.progress import Progress


class Source(Protocol):
    """A hub or a folder. Two steps, so that cheap checks judge the listing before any byte is fetched."""

    @property
    def candidate(self) -> Candidate:
        """What was asked for."""

    def resolve(self, policy: Policy) -> Listing:
        """Pin the commit and read its tree and metadata.

        Raises:
            UsageError: the policy does not allow this source.
            FetchError: the source could not be read.
            Refused: what it lists cannot even be written down.
        """

    def fetch(
        self,
        listing: Listing,
        destination: Path,
        policy: Policy,
        progress: Progress,
        kept: Path | None = None,
    ) -> Snapshot:
        """Copy every listed byte into an empty private folder, compared with what was stated.

        Args:
            listing: what :meth:`resolve` returned.
            destination: a folder that is empty or does not exist yet; emptied again if this fails.
            policy: its limits bound what is fetched.
            progress: told ``download``, bytes done, bytes in all.
            kept: files that a killed run had fetched; what is taken from there is hashed again.

        Raises:
            FetchError: the source could not be read; nothing is decided.
            Refused: the listing is unsafe, or the bytes are not the ones stated.
        """
