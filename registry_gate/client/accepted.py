"""What every call of the client does first, in the one safe order: whose word counts, then what it says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client.find import release_source
from registry_gate.client.reference import Reference, parse
from registry_gate.errors import FetchError

if TYPE_CHECKING:
    from registry_gate.settings import Settings
    from registry_gate.signing.folder import ReleaseSource
    from registry_gate.signing.trust import Trust
    from registry_gate.signing.verify_statements import VerifiedStatements


@dataclass(frozen=True)
class OpenRelease:
    """A Release whose statements are accepted and whose names are the signed ones; no byte was read yet."""

    source: ReleaseSource
    found: VerifiedStatements


@contextmanager
def open_release(
    ref: str | os.PathLike[str],
    trust: Trust | Path | str | None,
    registry_uri: str | None = None,
) -> Iterator[OpenRelease]:
    """Find a Release and hold what was signed about it against trust, request, index and the names there.

    Raises:
        VerificationError: it is not what an accepted gate signed.
        FetchError: it could not be found or read.
    """
    from registry_gate import settings as settings_module
    from registry_gate.signing.trust import effective_trust
    from registry_gate.signing.verify import check_names

    settings = settings_module.load(registry_uri=registry_uri)
    believed = effective_trust(settings, trust)
    reference = parse(ref, settings_module.DEFAULT_ALIAS)
    with release_source(reference, settings) as source:
        try:
            found = accepted(source, reference, settings, believed)
            check_names(source, found.manifest)
        except OSError as error:
            detail = f"{str(ref)[:200]!r}: {error.strerror or error}"
            raise FetchError("cannot-read-release", detail) from error
        yield OpenRelease(source, found)


def accepted(
    source: ReleaseSource, reference: Reference, settings: Settings, trust: Trust
) -> VerifiedStatements:
    """The one place where a Release becomes acceptable to those who load: everything signed about it.

    Signatures, signer, verdict, policy, expiry, the name or the manifest asked for, and the index. Nothing
    of ``model/`` is read here.

    Args:
        source: where the Release lies.
        reference: what was asked for.
        settings: this user's settings.
        trust: the trust in force.

    Raises:
        VerificationError: see ``signing.refusal.CODES``.
    """
    from registry_gate.index.check import require_listed
    from registry_gate.signing.refusal import refusal
    from registry_gate.signing.verify import read_statements

    found = read_statements(source, trust, expect_name=reference.name, expect_id=reference.id)
    if reference.manifest not in (None, found.verified.manifest_digest):
        raise refusal("manifest-differs", f"what is there has the manifest {found.verified.manifest_digest}")
    require_listed(found.verified, settings, trust, alias=reference.alias)
    return found
