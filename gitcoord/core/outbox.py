"""An outbox: the pushed image of one node's queue, and the beats of its agents. Written by that node alone.

A parentless commit, rewritten at each push: nobody needs its history, and it cannot lose a race.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitcoord.core import limits
from gitcoord.core.branch import lines_of
from gitcoord.core.errors import Corrupt
from gitcoord.core.event import Event, Malformed, parse
from gitcoord.core.ports import Entry, Objects, Oid

QUEUE, BEATS, CARRIED = "queue", "beats.log", "carried.log"


@dataclass(frozen=True, slots=True)
class Outbox:
    """What a node's outbox holds. `lines` are its own pending ones, `carried` others' offered again."""

    oid: Oid
    lines: tuple[bytes, ...] = ()
    carried: tuple[bytes, ...] = ()
    beats: tuple[Event, ...] = ()  # parsed, signatures NOT checked


def write(
    objects: Objects, *, node: str, pending: Sequence[Event], beats: Sequence[bytes], carried: Sequence[bytes],
    nonce: str, parent: Oid | None, time_s: int,
) -> Oid:
    """The outbox commit. `nonce` makes it differ from every other: git does not check a push of what is there."""
    root = {}
    chunks: dict[int, list[bytes]] = {}
    for event in pending:
        chunks.setdefault((event.seq or 0) // limits.OUTBOX_CHUNK_EVENTS, []).append(event.line)
    if chunks:
        names = {f"{number:08d}.log": Entry(objects.put_blob(_joined(lines))) for number, lines in chunks.items()}
        root[QUEUE] = Entry(objects.put_tree(names), is_tree=True)
    root[BEATS] = Entry(objects.put_blob(_joined(beats)))
    if carried:
        root[CARRIED] = Entry(objects.put_blob(_joined(carried)))
    message = f"outbox of {node}: {len(pending)} pending, {len(beats)} beats [skip ci]\n\nNonce: {nonce}\n"
    parents = [parent] if parent else []
    return objects.put_commit(tree=objects.put_tree(root), parents=parents, message=message, author=node, time_s=time_s)


def read(objects: Objects, oid: Oid) -> Outbox:
    """What lies in an outbox. Others wrote it: what is not of its shape reads as nothing."""
    try:
        root = objects.tree(objects.commit(oid).tree)
        lines: list[bytes] = []
        queue = root.get(QUEUE)
        if queue is not None and queue.is_tree:
            for _, entry in sorted(objects.tree(queue.oid).items()):
                lines.extend(lines_of(objects.blob(entry.oid)))
        carried = lines_of(objects.blob(root[CARRIED].oid)) if CARRIED in root else []
        beats = lines_of(objects.blob(root[BEATS].oid)) if BEATS in root else []
    except Corrupt:
        return Outbox(oid)
    return Outbox(oid, tuple(lines), tuple(carried), tuple(_events(beats)))


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


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
