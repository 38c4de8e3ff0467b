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


@app.command("init")
def init(home: Home = None) -> None:
    """Make a signing key, the index with its keys, and a trust file that pins both.

    The trust file accepts the shipped policies. Nothing is overwritten. Without an administrator's trust
    file you are your own administrator.
    """
    from registry_gate import settings
    from registry_gate.index.setup import ensure_index
    from registry_gate.policy import SHIPPED, load_policy
    from registry_gate.signing.keys import init_keys

    digests = tuple(load_policy(name).digest() for name in SHIPPED)
    loaded = settings.load(home)
    pair = init_keys(loaded, digests)
    ensure_index(loaded)
    emit(
        f"key id      {pair.key_id}\nverifier    {pair.verifier}\n"
        f"private key {pair.private_key} (mode 0600)\n"
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


@app.command("rotate")
def rotate(home: Home = None) -> None:
    """Make a new signing key; the old one stays believed until `keys retire`, so nothing stops loading.

    Give the new trust file to those who verify before you retire the old key.
    """
    from registry_gate import settings
    from registry_gate.ledger import open_ledger
    from registry_gate.rotation import rotate as rotate_key

    key = rotate_key(open_ledger(settings.load(home)))
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
    home: Home = None,
) -> None:
    """Make the key of a person who may approve reviews, and name both in the trust file.

    The key belongs with that person: move the file to them.
    """
    from registry_gate import settings
    from registry_gate.rotation import trust_approver

    loaded = settings.load(home)
    trust_approver(loaded, name)
    emit(f"approver    {name}\nprivate key {loaded.approver_keys / f'{name}.pem'} (mode 0600)\n", None)
