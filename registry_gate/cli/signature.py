"""``registry-gate signature``: who signed this folder? It answers that question and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry_gate.cli.show import emit

ModelFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A model's folder, as its publisher signed it.")
]
SignatureFile = Annotated[
    Path, typer.Option(help="The OpenSSF Model Signing bundle; it may lie in the folder.")
]
PublicKey = Annotated[Path | None, typer.Option(help="Accept this public key (PEM).")]
Identity = Annotated[str | None, typer.Option(help="Accept this keyless identity, to the letter.")]
Issuer = Annotated[str | None, typer.Option(help="Who must have vouched for the identity: a URL.")]
TrustConfig = Annotated[
    Path | None,
    typer.Option(help="ClientTrustConfig of a private Sigstore; the public instance if not given."),
]
CertificateName = Annotated[
    str | None, typer.Option(help="Accept this certificate: URI:..., email:..., DNS:... or subject:...")
]
CertificateRoots = Annotated[Path | None, typer.Option(help="The roots it must lead to (PEM).")]


def signature(
    folder: ModelFolder,
    signature: SignatureFile,
    public_key: PublicKey = None,
    identity: Identity = None,
    issuer: Issuer = None,
    trust_config: TrustConfig = None,
    certificate_name: CertificateName = None,
    certificate_roots: CertificateRoots = None,
) -> None:
    """Check a publisher's Model Signing signature over a folder, with no network.

    Exit status 0 means that the signer you named signed exactly these files. It does not mean that the model
    was examined or admitted: such a signature carries no verdict, and `load_verified` does not load it.

    Example: `registry-gate signature ./model --signature ./model/model.sig --identity release@example.com
    --issuer https://accounts.google.com`.
    """
    from registry_gate.signing import publisher

    accepted = publisher.accepted_signers(
        public_key, (identity, issuer, trust_config), (certificate_name, certificate_roots)
    )
    found = publisher.verify_folder(folder, signature, accepted)
    lines = [f"signed by  {found.signatory.method.value} {found.signatory}"]
    lines.append(f"files      {len(found.files)}, each as it was signed")
    lines += [f"unsigned   {name}" for name in found.unsigned]
    lines.append("verdict    none: a publisher's signature says who made the files, not that they are safe")
    emit("".join(f"{line}\n" for line in lines), None)
