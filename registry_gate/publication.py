"""From an admitting decision to a Receipt: sign, verify, upload, read back, register; the alias moves last.

Killed anywhere, the alias still points at something that verifies, or at nothing; the next run finishes what
it finds whole and replaces what it does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from registry_gate.candidate import Candidate, registered_name
from registry_gate.client.find import stored_release
from registry_gate.decision import Decision
from registry_gate.errors import FetchError, UsageError, VerificationError
from registry_gate.evidence import Evidence
from registry_gate.index.check import check_revoked, judge, revocation_of, revoked
from registry_gate.index.content import IndexContent, listed
from registry_gate.index.edits import with_floor, with_floor_at_most, with_listed
from registry_gate.index.metadata import Edit
from registry_gate.ledger import Ledger
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import ReceiptBody, SignedBody
from registry_gate.origin import LOOPBACK, origin_of
from registry_gate.policy import Policy
from registry_gate.progress import Progress, silent
from registry_gate.registry import RegisteredVersion, Registry
from registry_gate.release import Receipt, Release, Terms, Verified
from registry_gate.self_test import RecordedSelfTest
from registry_gate.settings import DEFAULT_ALIAS
from registry_gate.signing.manifest import manifest_of
from registry_gate.signing.order import ReleaseSigner
from registry_gate.signing.sign import sign_release
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify import check_files, read_statements, verify_release

Step = Callable[[str], None]
"""Called with the name of each step just finished: where a drill or a test may stop the process."""

STEPS = (
    "staged",
    "decided",
    "signed",
    "signature-verified",
    "uploaded",
    "read-back",
    "version-created",
    "receipt-written",
    "indexed",
    "alias-moved",
    "floor-raised",
)


def no_step(name: str) -> None:
    """Go on."""


@dataclass(frozen=True)
class Published:
    """What the registry now holds. ``alias_current`` is False where the alias stays further ahead."""

    verified: Verified
    receipt: Receipt
    alias_current: bool
    reused: bool
    seconds: dict[str, float]


@dataclass(frozen=True)
class Found:
    """An earlier Release, verified in full, and the version that led to it."""

    verified: Verified
    version: RegisteredVersion


@dataclass(frozen=True)
class Publisher:
    """Signs, lists and registers one candidate's Release; ``alias`` None means the default one, forward only.

    Where ``alias_was`` names a version, the alias is moved only if it still points there. ``self_test`` is
    the newest that this installation has.
    """

    signer: ReleaseSigner
    trust: Trust
    ledger: Ledger
    registry: Registry
    alias: str | None
    workspace: Path
    step: Step
    progress: Progress = silent
    notes: tuple[str, ...] = ()
    self_test: RecordedSelfTest | None = None
    alias_was: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def log(self) -> AdmissionLog:
        """The admission log."""
        return self.ledger.log

    def record(self, evidence: Evidence, decision: Decision, requester: str | None) -> int:
        """Log a decision, whatever it is, have the index witness it, and return its sequence number."""
        sequence = self.log.append_decision(evidence, decision, requester=requester).sequence
        self.ledger.witness()
        return sequence

    def publish(
        self,
        evidence: Evidence,
        decision: Decision,
        policy: Policy,
        sequence: int,
        approvals: tuple[str, ...] = (),
    ) -> Published:
        """Take an admitted candidate from its staged files to the registry.

        Raises:
            VerificationError: what was signed, or what the store gives back, does not verify; ``revoked``.
            ToolError: the registry failed; nothing points at the new Release then.
        """
        self._check_not_revoked(evidence, sequence)
        with self.timed("sign"):
            release = self._sign(evidence, decision, policy, sequence, approvals)
        return self.register(release, decision.decided_at)

    def register(self, release: Release, now: datetime) -> Published:
        """Take a signed Release to the registry; raises what :meth:`publish` raises."""
        asked = release.source.id
        self.step("signed")
        with self.timed("sign"):
            signed = verify_release(
                release.root, self.trust, expect_id=asked, now=now, progress=self.progress
            )
            self.log.append(_signed(signed))
            check_revoked(self.ledger.index.content(), signed)
            self.step("signature-verified")
        with self.timed("upload"):
            upload = self.registry.upload(release)
            self.step("uploaded")
            verified = self.verified(upload.source_uri, now, expect_id=asked)
            self.step("read-back")
        with self.timed("register"):
            version = self.registry.create_version(release, upload)
            self.step("version-created")
            return self.finish(verified, version, now, reused=False)

    def check_name(self, candidate: Candidate) -> None:
        """A registered name belongs to the source it was first admitted from, unless an alias is named.

        Ids that differ in case share one name, and so do a hub's id, another hub's and a folder's ``--as``.

        Raises:
            UsageError: ``name-taken``, so that no model is fetched that would take another one's place.
        """
        owner = self.log.first_admitted(registered_name(candidate.id))
        if owner is None or self.alias is not None or _whose(owner) == _whose(candidate):
            return
        raise UsageError(
            "name-taken",
            f"{registered_name(candidate.id)!r} is the registered name of {owner.id!r} from "
            f"{owner.endpoint or 'a local folder'}",
            why="whoever loads that name would get a model from another source",
            todo="admit it under an id of its own, or name the alias to move with --alias",
        )

    def find_earlier(self, evidence: Evidence, policy: Policy) -> Found | None:
        """An earlier admission of the same commit under the same policy that the store still holds whole.

        What registry and log say only leads to the Release; the answer comes from verifying all of it.
        """
        for version in self._candidates(evidence, policy):
            try:
                verified = self.verified(
                    version.source_uri, evidence.observed_at, expect_id=evidence.candidate.id
                )
            except (VerificationError, FetchError):
                continue  # examined anew then, which is always safe
            if _same_admission(verified, evidence, policy) and self.is_own(verified):
                return Found(verified, version)
        return None

    def finish(
        self, verified: Verified, version: RegisteredVersion, now: datetime, *, reused: bool
    ) -> Published:
        """Write the receipt, list the Release, then move the alias, and say where it was left.

        An alias may lead to a lower number before it is moved there, and must lead to this one or a higher
        one only afterwards: killed in between, whatever it points at still verifies.

        Raises:
            VerificationError: ``revoked`` or ``key-revoked``; the alias stays where it is then.
        """
        receipt = Receipt(
            registry_uri=self.registry.uri,
            registered_name=verified.name,
            alias=self.alias or DEFAULT_ALIAS,
            version=version.version,
            run_id=version.run_id,
            source_uri=version.source_uri,
            manifest_digest=verified.manifest_digest,
            sequence=verified.sequence,
            registered_at=now,
        )
        if not self._receipted(receipt):
            self.log.append_receipt(receipt)
        self.step("receipt-written")
        alias = self.alias or DEFAULT_ALIAS
        current = self._may_move(alias, verified, version, now)
        check_revoked(self.ledger.witness(_listing(verified, alias if current else None, now)), verified)
        self.step("indexed")
        if current:
            self.registry.set_alias(verified.name, alias, version.version)
        self.step("alias-moved")
        if current:
            self.ledger.witness(lambda content: with_floor(content, verified.name, alias, verified.sequence))
        self.step("floor-raised")
        return Published(verified, receipt, current, reused, self.seconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds of a step to :attr:`seconds`."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def is_own(self, verified: Verified) -> bool:
        """Whether this gate signed it, by its own log and index: a stolen key signs as well as a true one."""
        known = any(item.is_of(verified) for item in self.ledger.index.content().listed)
        return known or self.log.signed(verified.sequence, verified.manifest_digest)

    def _check_not_revoked(self, evidence: Evidence, sequence: int) -> None:
        """Refuse to have files signed that were revoked; raises ``revoked``."""
        if evidence.staged is None:
            return
        entry = revocation_of(
            self.ledger.index.content().revoked,
            name=evidence.registered_name,
            sequence=sequence,
            manifest_digest=None,  # not known before the bill of materials is made
            files_digest=manifest_of(evidence.staged, {}).files_digest(),
            signed_by="",  # whose key signs is the signer's to say; checked on what it signed
        )
        if entry is not None:
            raise revoked(entry, f"{evidence.registered_name} sequence {sequence}")

    def _sign(
        self,
        evidence: Evidence,
        decision: Decision,
        policy: Policy,
        sequence: int,
        approvals: tuple[str, ...],
    ) -> Release:
        return sign_release(
            evidence,
            decision,
            policy,
            terms=terms_of(policy, sequence, decision.decided_at),
            signer=self.signer,
            trust=self.trust,
            destination=self.workspace / "release",
            approvals=approvals,
        )

    def verified(
        self, source_uri: str, now: datetime, *, expect_id: str | None = None, expect_name: str | None = None
    ) -> Verified:
        """Verify what the store holds where it lies: what nobody signed is not copied first."""
        with stored_release(source_uri, self.registry.uri, self.workspace) as source:
            found = read_statements(source, self.trust, expect_name=expect_name, expect_id=expect_id, now=now)
            check_files(source, found.manifest, self.progress)
            return found.verified

    def _candidates(self, evidence: Evidence, policy: Policy) -> list[RegisteredVersion]:
        """Registered versions that the log gives reason to look at, newest first."""
        commit = evidence.listing.commit if evidence.listing else None
        if commit is None or not self.log.admissions(evidence.candidate, commit, policy.digest()):
            return []
        return [found for found in self.registry.versions(evidence.registered_name) if found.commit == commit]

    def _receipted(self, receipt: Receipt) -> bool:
        """Whether the log has this very address already; only time and alias may differ."""
        ignored = {"registered_at", "alias"}
        wanted = receipt.model_dump(exclude=ignored)
        written = (entry.body for entry in self.log.entries())
        return any(
            isinstance(body, ReceiptBody) and body.receipt.model_dump(exclude=ignored) == wanted
            for body in written
        )

    def _may_move(self, alias: str, verified: Verified, version: RegisteredVersion, now: datetime) -> bool:
        """Whether the alias is to point at this version: forward only, and never from another source.

        One that was asked for by name may move anywhere; one whose Release does not verify is replaced.
        """
        current = self.registry.version_for(verified.name, alias)
        if self.alias_was is not None and (current is None or current.version != self.alias_was):
            return current is not None and current.version == version.version
        if current is None or current.version == version.version or self.alias is not None:
            return True
        return not self._is_ahead(current, verified, now)

    def _is_ahead(self, current: RegisteredVersion, verified: Verified, now: datetime) -> bool:
        try:
            there = self.verified(current.source_uri, now, expect_name=verified.name)
            judge(self.ledger.index.content(), there)
        except VerificationError:
            return False
        except FetchError as error:
            if error.code == "no-such-release":
                return False
            raise
        return _whose(there) != _whose(verified) or there.sequence > verified.sequence


def terms_of(policy: Policy, sequence: int, issued_at: datetime) -> Terms:
    """Validity as long as the policy gives."""
    expires_at = issued_at + timedelta(days=policy.statement_days)
    return Terms(sequence=sequence, issued_at=issued_at, expires_at=expires_at)


def _whose(found: Candidate | Verified) -> tuple[str, ...]:
    """What a name means something together with; hubs on this very machine are one, whatever their port."""
    origin = origin_of(found.endpoint)
    here = origin is not None and origin.scheme == "http" and origin.is_loopback
    return found.kind.value, LOOPBACK if here else found.endpoint, found.id


def _same_admission(verified: Verified, evidence: Evidence, policy: Policy) -> bool:
    candidate, listing = evidence.candidate, evidence.listing
    source = (candidate.kind, candidate.endpoint, candidate.id, listing.commit if listing else None)
    return (
        source == (verified.kind, verified.endpoint, verified.id, verified.commit)
        and verified.policy_digest == policy.digest()
        and verified.gate_version == evidence.gate_version
    )


def _listing(verified: Verified, alias: str | None, now: datetime) -> Edit:
    """List a Release and let the alias that is about to move lead to it."""

    def edit(content: IndexContent) -> IndexContent:
        content = with_listed(content, listed(verified, now))
        if alias is None:
            return content
        return with_floor_at_most(content, verified.name, alias, verified.sequence)

    return edit


def _signed(verified: Verified) -> SignedBody:
    return SignedBody(
        registered_name=verified.name,
        release_sequence=verified.sequence,
        manifest_digest=verified.manifest_digest,
    )
