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
    """Make a signing key and a trust file that pins it and accepts the shipped policies.

    Nothing is overwritten. Without an administrator's trust file you are your own administrator.
    """
    from registry_gate import settings
    from registry_gate.policy import SHIPPED, load_policy
    from registry_gate.signing.keys import init_keys

    digests = tuple(load_policy(name).digest() for name in SHIPPED)
    pair = init_keys(settings.load(home), digests)
    emit(
        f"key id      {pair.key_id}\nverifier    {pair.verifier}\n"
        f"private key {pair.private_key} (mode 0600)\n"
        f"public key  {pair.public_key}\ntrust file  {pair.trust}\n",
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
