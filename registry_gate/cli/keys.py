"""``registry-gate keys``: the gate's signing key and what this user trusts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry_gate.cli.show import emit

app = typer.Typer(no_args_is_help=True, help="The signing key of this gate, and what this user trusts.")

Home = Annotated[
    Path | None,
    typer.Option(help="Folder of keys, log and registry (REGISTRY_GATE_HOME, ~/.registry-gate)."),
]


PassphraseFile = Annotated[
    Path | None, typer.Option(help="Encrypt the new key with the passphrase in this file.")
]
AskPassphrase = Annotated[bool, typer.Option("--ask-passphrase", help="The same, asked for at the terminal.")]
APPROVER_VARIABLE = "REGISTRY_GATE_APPROVER_PASSPHRASE"


@app.command("init")
def init(
    home: Home = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: Annotated[
        int | None, typer.Option(min=0, help="The same, from a file descriptor that is open already.")
    ] = None,
    ask_passphrase: AskPassphrase = False,
    index_passphrase_file: Annotated[
        Path | None, typer.Option(help="Encrypt the index's keys with the passphrase in this file.")
    ] = None,
    keyless: Annotated[
        bool, typer.Option("--keyless", help="Make no signing key: this gate signs by identity.")
    ] = False,
) -> None:
    """Make a signing key, a key for the log, the index with its keys, and a trust file that pins them.

    The trust file accepts the shipped policies. Nothing is overwritten. Without an administrator's trust
    file you are your own administrator. A passphrase is never taken from the command line; `admit` reads it
    from REGISTRY_GATE_PASSPHRASE_FILE, from the descriptor REGISTRY_GATE_PASSPHRASE_FD, from
    REGISTRY_GATE_PASSPHRASE, or asks for it at a terminal. The index's keys have a passphrase of their own,
    read from REGISTRY_GATE_INDEX_PASSPHRASE_FILE, REGISTRY_GATE_INDEX_PASSPHRASE or at a terminal.
    """
    from registry_gate import settings
    from registry_gate.index.setup import ensure_index
    from registry_gate.policy import SHIPPED, load_policy
    from registry_gate.settings import SigningSettings
    from registry_gate.signer.passphrase import choose_passphrase
    from registry_gate.signing.keys import init_keyless, init_keys

    digests = tuple(load_policy(name).digest() for name in SHIPPED)
    loaded = settings.load(home, index_passphrase_file=index_passphrase_file)
    if keyless:
        trust = init_keyless(loaded, digests)
        ensure_index(loaded)
        emit(f"verifier    {trust.verifier}\ntrust file  {loaded.trust} (accepts nobody yet)\n", None)
        return
    wanted = SigningSettings(passphrase_file=passphrase_file, passphrase_fd=passphrase_fd)
    passphrase = choose_passphrase(wanted, ask=ask_passphrase)
    pair = init_keys(loaded, digests, passphrase.encode() if passphrase is not None else None)
    ensure_index(loaded)
    emit(
        f"key id      {pair.key_id}\nverifier    {pair.verifier}\n"
        f"private key {pair.private_key} (mode 0600{', encrypted' if passphrase is not None else ''})\n"
        f"public key  {pair.public_key}\ntrust file  {pair.trust}\n"
        f"index keys  {loaded.index_keys} (move root.pem to a place off line)\n",
        None,
    )


@app.command("show")
def show(home: Home = None) -> None:
    """Print what is trusted: keys, verifier, policies, and whether an administrator's file limits it."""
    from registry_gate import settings
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(home)
    trust = effective_trust(loaded)
    limited = loaded.administrator_trust.exists()
    lines = [f"trust file  {loaded.trust}"]
    lines.append(
        f"limited by  {loaded.administrator_trust if limited else 'nobody: you are the administrator'}"
    )
    lines.append(f"verifier    {trust.verifier}")
    lines += [f"key         {key.key_id}" for key in trust.keys]
    lines += [f"identity    {who.identity} of {who.issuer}" for who in trust.identities]
    lines += [f"certificate {who.name}" for who in trust.certificates]
    lines += [f"log key     {key.key_id}" for key in trust.log_keys]
    lines += [f"retired     {key.key.key_id} after entry {key.last_sequence}" for key in trust.retired_keys]
    lines += [f"approver    {who.name} {who.key.key_id}" for who in trust.approvers]
    lines += [f"index root  {trust.index.root}"] if trust.index else []
    lines += [f"policy      {digest}" for digest in trust.policies]
    emit("".join(f"{line}\n" for line in lines), None)


@app.command("trust-policy")
def trust_policy(
    policy: Annotated[str, typer.Argument(help="default, strict, research, or the path of a policy file.")],
    home: Home = None,
) -> None:
    """Accept verdicts given under one more policy: its digest is added to the trust file.

    Read the policy first: whatever it admits will be signed and loaded from now on.
    """
    from registry_gate import settings
    from registry_gate.policy import load_policy
    from registry_gate.signing import trust

    loaded = load_policy(policy)
    trust.trust_policy(settings.load(home), loaded.digest())
    emit(f"accepted    {loaded.name} {loaded.digest()}\n", None)


@app.command("trust-identity")
def trust_identity(
    identity: Annotated[str, typer.Argument(help="E-mail address or URI, compared to the letter.")],
    issuer: Annotated[str, typer.Option(help="URL of the identity provider that vouches for it.")],
    trust_config: Annotated[
        Path | None,
        typer.Option(help="ClientTrustConfig of a private Sigstore; the public instance if not given."),
    ] = None,
    home: Home = None,
) -> None:
    """Accept keyless signatures of one identity, vouched for by one issuer.

    Both are needed: anybody can have any name at an identity provider of their own. The trusted root is
    copied into the trust file, so that verification needs no network.

    Example: `registry-gate keys trust-identity
    https://github.com/acme/gate/.github/workflows/admit.yml@refs/heads/main
    --issuer https://token.actions.githubusercontent.com`.
    """
    from registry_gate import settings
    from registry_gate.signing import trust
    from registry_gate.signing.publisher import read_root

    trust.trust_identity(settings.load(home), identity, issuer, read_root(trust_config))
    emit(f"accepted    {identity} of {issuer}\n", None)


@app.command("trust-certificate")
def trust_certificate(
    name: Annotated[str, typer.Argument(help="URI:..., email:..., DNS:..., or subject:... (RFC 4514).")],
    roots: Annotated[Path, typer.Option(exists=True, help="The roots it must lead to (PEM).")],
    timestamp_roots: Annotated[
        Path | None,
        typer.Option(exists=True, help="Demand an RFC 3161 time stamp that leads to these roots (PEM)."),
    ] = None,
    home: Home = None,
) -> None:
    """Accept signatures with one certificate name under your company's own roots.

    Without a time stamp authority a signature is good while the certificate is; with one, for ever after.
    """
    from registry_gate import settings
    from registry_gate.signing import trust
    from registry_gate.signing.certificate_check import read_certificates

    pem = roots.read_text(encoding="utf-8")
    stamps = timestamp_roots.read_text(encoding="utf-8") if timestamp_roots else ""
    for text in (pem, *([stamps] if stamps else [])):
        read_certificates(text)
    trust.trust_certificate(settings.load(home), name, pem, stamps)
    emit(f"accepted    {name}\n", None)


@app.command("rotate")
def rotate(
    log_key: Annotated[
        bool, typer.Option("--log-key", help="The log's key instead of the signing key.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    ask_passphrase: AskPassphrase = False,
    home: Home = None,
) -> None:
    """Make a new signing key; the old one stays believed until `keys retire`, so nothing stops loading.

    Give the new trust file to those who verify before you retire the old key.
    """
    from registry_gate import rotation, settings
    from registry_gate.ledger import open_ledger
    from registry_gate.settings import SigningSettings
    from registry_gate.signer.passphrase import choose_passphrase

    ledger = open_ledger(settings.load(home))
    if log_key:
        key = rotation.rotate_log_key(ledger)
    else:
        chosen = choose_passphrase(SigningSettings(passphrase_file=passphrase_file), ask=ask_passphrase)
        key = rotation.rotate(ledger, chosen.encode() if chosen is not None else None)
    emit(f"signs now   {key.key_id}\nthe key before it is believed until `registry-gate keys retire`\n", None)


@app.command("retire")
def retire(
    key_id: Annotated[str, typer.Argument(metavar="KEYID", help="At least its first 8 digits.")],
    reason: Annotated[str, typer.Option(help="For the log and the trust file.")] = "",
    after: Annotated[
        int | None, typer.Option(min=0, help="If stolen: the last log entry that was still yours.")
    ] = None,
    home: Home = None,
) -> None:
    """Take a key out of service: what it signed loads no more, its log entries stay readable as history.

    For a stolen key say with --after which log entry was the last before the theft: `log verify` names those
    after it, and nobody believes them. Then `registry-gate revoke --key` tells those whose trust file is old.
    """
    from registry_gate import settings
    from registry_gate.ledger import open_ledger
    from registry_gate.rotation import retire as retire_key

    done = retire_key(open_ledger(settings.load(home)), key_id, reason, after)
    emit(f"retired     {done.key.key_id} after log entry {done.last_sequence}\n", None)


@app.command("init-approver")
def init_approver(
    name: Annotated[str, typer.Argument(help="Account name or e-mail address of the person.")],
    passphrase_file: PassphraseFile = None,
    ask_passphrase: AskPassphrase = False,
    home: Home = None,
) -> None:
    """Make the key of a person who may approve reviews, and name both in the trust file.

    The key belongs with that person: move the file to them.
    """
    from registry_gate import settings
    from registry_gate.rotation import trust_approver
    from registry_gate.signing.passphrase import new_passphrase

    loaded = settings.load(home)
    source = settings.PassphraseSource(variable=APPROVER_VARIABLE, file=passphrase_file)
    chosen = new_passphrase(source, ask=ask_passphrase, purpose="approver's key")
    trust_approver(loaded, name, chosen.encode() if chosen is not None else None)
    kept = f"mode 0600{', encrypted' if chosen is not None else ''}"
    emit(f"approver    {name}\nprivate key {loaded.approver_keys / f'{name}.pem'} ({kept})\n", None)
