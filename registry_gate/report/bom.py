"""The bill of materials of a Release: CycloneDX 1.6 with a model card, from the evidence alone.

It is pure and deterministic: the same evidence and time give the same bytes, so that signing twice signs the
same files. cyclonedx-python-lib has no model card, so ours is put into its JSON.

Source: ECMA-424 (CycloneDX 1.6), github.com/package-url/purl-spec (type huggingface).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from pydantic import JsonValue

from registry_gate.candidate import SourceKind
from registry_gate.evidence import Evidence, StagedFile
from registry_gate.record import readable_json
from registry_gate.report.model_card import model_card

if TYPE_CHECKING:
    from cyclonedx.model import HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from packageurl import PackageURL

_PUBLIC_HUB = "https://huggingface.co"
_MODEL_REF = "model"
_UPLOADER = "stated by the uploader, not verified"


def render(evidence: Evidence, decided_at: datetime) -> str:
    """The bill of materials of what would be released.

    Args:
        evidence: with ``listing`` and ``staged``.
        decided_at: aware time of the decision; the only time in the document.

    Raises:
        ValueError: nothing was listed or staged.
    """
    from cyclonedx.output.json import JsonV1Dot6

    if evidence.listing is None or evidence.staged is None:
        raise ValueError("a bill of materials needs a pinned commit and staged files")
    bom = _bom(evidence, evidence.staged.files, evidence.listing.commit, decided_at)
    document: dict[str, JsonValue] = json.loads(JsonV1Dot6(bom).output_as_string())
    metadata = document["metadata"]
    if isinstance(metadata, dict) and isinstance(component := metadata["component"], dict):
        component["modelCard"] = model_card(evidence)
    return readable_json(document).decode("ascii")


def _bom(evidence: Evidence, files: tuple[StagedFile, ...], commit: str, decided_at: datetime) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency

    tool = Component(
        name="registry-gate",
        version=evidence.gate_version,
        type=ComponentType.APPLICATION,
        bom_ref="registry-gate",
    )
    model = _model(evidence, commit)
    carried = [_file(file) for file in files]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"urn:registry-gate:evidence:{evidence.digest()}"),
        metadata=BomMetaData(timestamp=decided_at, component=model, properties=_about(evidence)),
        components=carried,
        dependencies=[
            Dependency(model.bom_ref, dependencies=[Dependency(file.bom_ref) for file in carried]),
            *(Dependency(file.bom_ref) for file in carried),
        ],
    )
    bom.metadata.tools.components.add(tool)
    return bom


def _model(evidence: Evidence, commit: str) -> Component:
    """The model as a whole: which one, from where, under which licence, out of what."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType, Pedigree

    candidate = evidence.candidate
    is_hub = candidate.kind is SourceKind.HUB
    page = f"{candidate.endpoint}/{quote(candidate.id)}/tree/{commit}"
    return Component(
        name=candidate.name,
        group=candidate.owner or None,
        version=commit,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=_MODEL_REF,
        licenses=_licences(evidence),
        purl=_purl(evidence, commit),
        external_references=[ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(page))]
        if is_hub
        else [],
        pedigree=Pedigree(ancestors=_ancestors(evidence), notes=_made_how(evidence)),
    )


def _purl(evidence: Evidence, commit: str) -> PackageURL:
    from packageurl import PackageURL

    candidate = evidence.candidate
    if candidate.kind is SourceKind.FOLDER:
        return PackageURL("generic", candidate.owner or None, candidate.name, version=commit)
    elsewhere = {} if candidate.endpoint == _PUBLIC_HUB else {"repository_url": candidate.endpoint}
    return PackageURL(
        "huggingface", candidate.owner or None, candidate.name, version=commit, qualifiers=elsewhere
    )


def _licences(evidence: Evidence) -> list[LicenseExpression | DisjunctiveLicense]:
    """The SPDX expression that the licence check read, else the hub's own words."""
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression

    spdx, stated = _licence_words(evidence)
    if spdx is not None:
        return [LicenseExpression(spdx)]
    return [DisjunctiveLicense(name=stated)] if stated is not None else []


def _licence_words(evidence: Evidence) -> tuple[str | None, str | None]:
    measured = next((result.measurements for result in evidence.results if result.name == "licence"), {})
    spdx, stated = measured.get("spdx"), measured.get("stated")
    return spdx if isinstance(spdx, str) else None, stated if isinstance(stated, str) else None


def licence_of(evidence: Evidence) -> str | None:
    """The licence as the bill of materials of this evidence has it."""
    spdx, stated = _licence_words(evidence)
    return spdx or stated


def licence_in(document: bytes) -> str | None:
    """The licence that a bill of materials of ours states; raises ``ValueError`` for what is none."""
    try:
        licences = json.loads(document)["metadata"]["component"].get("licenses", [])
        said = [item.get("expression") or item["license"]["name"] for item in licences]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is no bill of materials of this gate") from error
    return str(said[0]) if said else None


def _ancestors(evidence: Evidence) -> list[Component]:
    """The base models, which only the uploader names."""
    from cyclonedx.model.component import Component, ComponentType

    metadata = evidence.listing.metadata if evidence.listing else None
    return [
        Component(
            name=base,
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=f"base-model:{number}",
            description=_UPLOADER,
        )
        for number, base in enumerate(metadata.base_models if metadata else ())
    ]


def _made_how(evidence: Evidence) -> str:
    plans = evidence.weight_set.plans if evidence.weight_set else ()
    pairs = ", ".join(f"{plan.source} -> {plan.target}" for plan in plans)
    return f"Weights copied into safetensors tensor by tensor, digests compared: {pairs or 'none'}."


def _file(file: StagedFile) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=file.name,
        type=ComponentType.FILE,
        bom_ref=f"file:{file.name}",
        hashes=[_sha256(file.sha256)],
        properties=_properties(
            [
                ("size", str(file.size)),
                ("source", file.source),
                ("source-sha256", file.source_sha256),
            ]
        ),
    )


def _sha256(digest: str) -> HashType:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _about(evidence: Evidence) -> list[Property]:
    return _properties(
        [
            ("registered-name", evidence.registered_name),
            ("evidence-digest", evidence.digest()),
        ]
    )


def _properties(named: Iterable[tuple[str, str]]) -> list[Property]:
    from cyclonedx.model import Property

    return [Property(name=f"registry-gate:{name}", value=value) for name, value in named]
