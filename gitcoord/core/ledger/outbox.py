"""An outbox: the pushed image of one node's queue, and the heartbeats of its agents. That node alone writes it.

It is a commit without a parent, replaced at each push: nobody needs its history, and it cannot lose a race.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt
from gitcoord.core.format.event import Event, parse
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.ledger.log_files import joined, lines_of
from gitcoord.core.names import NODE
from gitcoord.core.ports import Fetched, Objects, Oid, TreeEntry

QUEUE, HEARTBEATS, ORPHANS = "queue", "heartbeats.log", "orphans.log"


@dataclass(frozen=True, slots=True)
class Outbox:
    """The content of a node's outbox: `lines` are its own pending lines, `orphans` lines that a ledger lost."""

    oid: Oid
    lines: tuple[bytes, ...] = ()
    orphans: tuple[bytes, ...] = ()
    heartbeats: tuple[Event, ...] = ()  # parsed, signatures NOT checked
    blobs: Mapping[Oid, tuple[bytes, ...]] = field(default_factory=dict)  # its files, so that each is read once


def write(
    objects: Objects,
    *,
    node: str,
    pending: Sequence[Event],
    heartbeats: Sequence[bytes],
    orphans: Sequence[bytes],
    nonce: str,
    parent: Oid | None,
    time_s: int,
) -> Oid:
    """Write the outbox commit; return its id. `nonce` makes it unique: git does not check a push of an equal value."""
    root = {}
    chunks: dict[int, list[bytes]] = {}
    for event in pending:
        chunks.setdefault(chunk_of(event), []).append(event.line)
    if chunks:
        names = {f"{number:08d}.log": TreeEntry(objects.put_blob(joined(lines))) for number, lines in chunks.items()}
        root[QUEUE] = TreeEntry(objects.put_tree(names), is_tree=True)
    root[HEARTBEATS] = TreeEntry(objects.put_blob(joined(heartbeats)))
    if orphans:
        root[ORPHANS] = TreeEntry(objects.put_blob(joined(orphans)))
    message = f"outbox of {node}: {len(pending)} pending, {len(heartbeats)} heartbeats [skip ci]\n\nNonce: {nonce}\n"
    parents = [parent] if parent else []
    return objects.put_commit(tree=objects.put_tree(root), parents=parents, message=message, author=node, time_s=time_s)


def chosen(shown: Mapping[str, Oid], *, ledger_ref: str, outboxes: str, first: Collection[str] = ()) -> Fetched:
    """Return which of a remote's refs to fetch. `outboxes`: the prefix of their refs. `first`: nodes to prefer.

    There may be any number of refs with any names: anybody who may push can make them.
    """
    below = {ref: ref.removeprefix(outboxes) for ref in shown if ref.startswith(outboxes)}
    boxes = sorted(ref for ref, node in below.items() if NODE.match(node))
    if len(boxes) > limits.OUTBOXES_MAX:
        boxes.sort(key=lambda ref: below[ref] not in first)
    wanted = [*boxes[: limits.OUTBOXES_MAX], *([ledger_ref] if ledger_ref in shown else [])]
    why = f"there are {len(boxes)} outboxes, and {limits.OUTBOXES_MAX} at most are fetched"
    return Fetched(
        {ref: shown[ref] for ref in wanted},
        dict.fromkeys(boxes[limits.OUTBOXES_MAX :], why),
        {ref: shown[ref] for ref, node in below.items() if not NODE.match(node)},
    )


def chunk_of(event: Event) -> int:
    """Return the number of the file that holds an event in its node's outbox."""
    return (event.seq or 0) // limits.OUTBOX_CHUNK_EVENTS


def read(objects: Objects, oid: Oid, before: Outbox | None = None, *, whole: bool = False) -> Outbox:
    """Return the content of an outbox. Others wrote it: files of another shape count as empty.

    Files that were in `before` (the same outbox, earlier) are not read again. Unless `whole` (it is our own), the size
    is limited: after these lines are sequenced the outbox shrinks, and the rest can be read.
    """
    blobs: dict[Oid, tuple[bytes, ...]] = {}
    old = before.blobs if before is not None else {}

    def lines_in(entry: TreeEntry | None, bytes_max: int | None) -> tuple[bytes, ...]:
        if entry is None or entry.is_tree:
            return ()
        if entry.oid not in blobs:
            blobs[entry.oid] = old[entry.oid] if entry.oid in old else _lines(objects, entry.oid, bytes_max)
        return blobs[entry.oid]

    def taken(entries: Iterable[TreeEntry | None]) -> tuple[bytes, ...]:
        taken: list[bytes] = []
        room = limits.OUTBOX_BYTES_MAX
        for entry in entries:
            lines = lines_in(entry, None if whole else limits.OUTBOX_FILE_BYTES_MAX)
            taken += lines
            room -= sum(map(len, lines))
            if not whole and (room < 0 or len(taken) >= limits.OUTBOX_LINES_MAX):
                return tuple(taken[: limits.OUTBOX_LINES_MAX])
        return tuple(taken)

    try:
        root = objects.tree(objects.commit(oid).tree)
        queue = root.get(QUEUE)
        chunks = objects.tree(queue.oid) if queue is not None and queue.is_tree else {}
    except Corrupt:
        return Outbox(oid)
    lines = taken(entry for _, entry in sorted(chunks.items()))
    heartbeats = tuple(_events(lines_in(root.get(HEARTBEATS), limits.HEARTBEATS_BYTES_MAX)[: limits.HEARTBEATS_MAX]))
    return Outbox(oid, lines, taken([root.get(ORPHANS)]), heartbeats, blobs)


def _lines(objects: Objects, oid: Oid, bytes_max: int | None) -> tuple[bytes, ...]:
    try:
        data = objects.blob(oid, bytes_max=bytes_max)
    except Corrupt:
        return ()
    most = limits.LOG_FILE_LINES_MAX + len(data) // limits.LINE_BYTES_MIN
    few = len(data) <= most or data.count(b"\n") <= most
    return tuple(lines_of(data)) if few else ()


def _events(lines: Sequence[bytes]) -> list[Event]:
    events = []
    for line in lines:
        try:
            event = parse(line)
        except Malformed:
            continue
        if event.type == "heartbeat" and event.seq is None:
            events.append(event)
    return events
