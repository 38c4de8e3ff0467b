"""What a pickle would import, call and set when it is loaded, as a tree for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from registry_gate.evidence import FileFacts, GlobalUse, PickleFacts
from registry_gate.finding import Finding
from registry_gate.report.escape import for_terminal

_MAX_NAMES = 200
_MAX_LINES = 200
_MAX_WIDTH = 240
_VERBS = {
    "import": "imported",
    "call": "called",
    "new": "instantiated",
    "build": "its result is given a state",
    "items": "entries are set in its result",
    "append": "its result is appended to",
    "add": "its result is added to",
}


@dataclass
class Node:
    """One line of the tree and what hangs below it."""

    text: str
    below: list[Node] = field(default_factory=list)


def render(file: FileFacts, findings: Sequence[Finding]) -> str:
    """The tree of one file: each pickle with its imports, its calls in order, and the pickles inside it.

    Args:
        file: the confined reader's facts.
        findings: what the checks hold against the file; shown at the end.
    """
    root = Node(f"{file.path}  ({file.format.value})")
    root.below = _pickles(file.pickles) or [Node("no pickle in it")]
    if findings:
        told = [Node(f"{item.severity.value}  {item.rule}: {item.message}") for item in findings]
        root.below.append(Node("held against it", _first(told, _MAX_LINES)))
    return "\n".join(_lines(root)) + "\n"


def _pickles(pickles: Sequence[PickleFacts]) -> list[Node]:
    """A pickle found in a literal hangs below the one that holds it: its place begins with the other's."""
    nodes: list[tuple[str, Node]] = []
    top: list[Node] = []
    for facts in pickles:
        place = facts.member or ""
        node = _pickle(facts)
        holders = [known for known in nodes if place != known[0] and place.startswith(f"{known[0]}@")]
        siblings = max(holders, key=lambda known: len(known[0]))[1].below if holders else top
        siblings.append(node)
        nodes.append((place, node))
    return top


def _pickle(facts: PickleFacts) -> Node:
    end = "read to its end" if facts.complete else "NOT READ TO ITS END"
    where = f" {facts.member}" if facts.member else ""
    head = f"pickle{where}: protocol {facts.protocol}, {facts.opcodes} instructions, {end}"
    modules: dict[str, dict[str, list[GlobalUse]]] = {}
    for use in facts.globals:
        modules.setdefault(use.module, {}).setdefault(use.name, []).append(use)
    imports = [Node(module, [_name(*item) for item in names.items()]) for module, names in modules.items()]
    steps = [Node(line) for line in facts.program]
    return Node(
        head,
        [
            Node("imports", _first(imports, _MAX_NAMES)) if imports else Node("imports nothing"),
            Node("calls and sets (at byte)", _first(steps, _MAX_LINES)) if steps else Node("calls nothing"),
        ],
    )


def _name(name: str, uses: Iterable[GlobalUse]) -> Node:
    done = [_done(use) for use in uses]
    return Node(f"{name} at byte {min(at for _, at in done)}", [Node(text) for text, _ in done])


def _done(use: GlobalUse) -> tuple[str, int]:
    verb, _, shape = use.use.partition(" ")
    return f"{_VERBS.get(verb, verb)}{f' with {shape}' if shape else ''}", use.offset


def _first(nodes: list[Node], limit: int) -> list[Node]:
    return nodes if len(nodes) <= limit else [*nodes[:limit], Node(f"… {len(nodes) - limit} more")]


def _lines(root: Node) -> Iterator[str]:
    """Depth first, without recursion: how deep a tree is, its file chose."""
    stack = [("", "", root)]
    while stack:
        lead, branch, node = stack.pop()
        yield lead + branch + for_terminal(node.text, _MAX_WIDTH)
        below = lead + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for number, child in enumerate(reversed(node.below)):
            stack.append((below, "├─ " if number else "└─ ", child))
