"""``registry-gate index``: the signed list of what may be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.keys import AskPassphrase, Home
from registry_gate.cli.show import Format, emit

if TYPE_CHECKING:
    from registry_gate.index.content import Revocation

app = typer.Typer(
    no_args_is_help=True,
    help="The signed, expiring index of what is admitted and revoked; nothing loads without it.",
)

Hours = Annotated[
    int | None, typer.Option(min=1, max=24 * 366, help="How long a timestamp is believed from now on.")
]
RootKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where the root's key lies; with the other keys if not said."),
]

Passphrase = Annotated[
    Path | None,
    typer.Option(
        help="Passphrase of the index's keys (REGISTRY_GATE_INDEX_PASSPHRASE_FILE, "
        "REGISTRY_GATE_INDEX_PASSPHRASE, or asked for at a terminal)."
    ),
]


@app.command("init-root")
def init_root(
    hours: Hours = None,
    root_key: RootKey = None,
    passphrase_file: Passphrase = None,
    ask_passphrase: AskPassphrase = False,
    home: Home = None,
) -> None:
    """Make the index's keys and its first root, and name the root in the trust file.

    Done by itself on first use. Keep the root's key off line (`--root-key`, or move `root.pem` away): it is
    needed only to change the other keys, once in a few years. With a passphrase all three keys are encrypted;
    every command that signs the index then needs it.
    """
    from registry_gate import settings
    from registry_gate.index import setup
    from registry_gate.signing.passphrase import new_passphrase

    loaded = settings.load(home, index_passphrase_file=passphrase_file)
    chosen = new_passphrase(loaded.index_passphrase, ask=ask_passphrase, purpose="keys of the index")
    trust = setup.init_root(
        loaded,
        hours=hours or setup.DEFAULT_HOURS,
        root_key=root_key,
        passphrase=chosen.encode() if chosen is not None else None,
    )
    where = root_key or loaded.index_keys / "root.pem"
    pinned = trust.index.root if trust.index else ""
    emit(f"root        {pinned}\nroot key    {where}\nindex       {loaded.own_index}\n", None)


@app.command("rotate-root")
def rotate_root(
    replace: Annotated[
        list[str] | None, typer.Option(help="root, index or timestamp: gets a new key; may be repeated.")
    ] = None,
    root_key: RootKey = None,
    passphrase_file: Passphrase = None,
    home: Home = None,
) -> None:
    """Sign the next root with the root's key: renewed, or with new keys for some roles.

    Clients follow from the root they know, so trust files stay as they are. After a theft of the index's or
    the timestamp's key, replace it here; what the old one signed counts no more at once.
    """
    from registry_gate import settings
    from registry_gate.index import setup
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(home, index_passphrase_file=passphrase_file)
    version = setup.rotate_root(loaded, effective_trust(loaded), tuple(replace or ()), root_key=root_key)
    emit(f"root        version {version}\n", None)


@app.command("refresh")
def refresh(hours: Hours = None, passphrase_file: Passphrase = None, home: Home = None) -> None:
    """Sign a new timestamp and publish the index: for cron, well within the hours it is believed.

    Needs the timestamp's key only, unless --hours changes how long one is believed.
    """
    from registry_gate import settings
    from registry_gate.index.repository import IndexRepository
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(home, index_passphrase_file=passphrase_file)
    repository = IndexRepository(loaded, effective_trust(loaded))
    repository.refresh(hours)
    ends = repository.state().timestamp.signed.expires
    emit(f"believed until {ends:%Y-%m-%d %H:%M} UTC\n", None)


@app.command("status")
def status(
    format_: Annotated[
        Format, typer.Option("--format", help="text for people, json for programs.")
    ] = Format.TEXT,
    home: Home = None,
) -> None:
    """Read the index as a client does, and print what it lists, revokes and witnesses."""
    from registry_gate import settings
    from registry_gate.index.read import read_index
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(home)
    trust = effective_trust(loaded)
    content = read_index(loaded, trust)
    if format_ is Format.JSON:
        emit(content.canonical().decode() + "\n", None)
        return
    lines = [
        f"version     {content.number}",
        f"read from   {trust.index.place(loaded) if trust.index else ''}",
        f"believed    {content.hours} hours a timestamp",
        f"listed      {len(content.listed)} Releases of {len({item.name for item in content.listed})} names",
        f"log         {content.log.length if content.log else 0} entries witnessed",
    ]
    lines += [f"alias       {item.name}@{item.alias} at sequence {item.sequence}" for item in content.floors]
    lines += [
        f"revoked     {described(entry)} on {entry.revoked_at:%Y-%m-%d}: {entry.reason!a}"
        for entry in content.revoked
    ]
    emit("".join(f"{line}\n" for line in lines), None)


def described(entry: Revocation) -> str:
    """What a revocation revokes, in words."""
    match entry.kind:
        case "release":
            return entry.manifest_digest
        case "signer":
            return f"signer {entry.signed_by!a} from sequence {entry.since}"
        case "sequences":
            return f"sequences {entry.first} to {entry.last} of {entry.name or 'all names'!a}"
