"""What the leader writes beside the log: the snapshot, the fleet's card, and now and then a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from gitcoord.core.branch import Branch, root_of
from gitcoord.core.errors import Corrupt
from gitcoord.core.ports import Entry, Oid
from gitcoord.features import card, conversation, snapshot
from gitcoord.features.snapshot import Interaction, Layout

CHECKPOINT_EVENTS = 4096  # between checkpoints: a newcomer replays at most these; 25 of them in 100,000 events
CHECKPOINT = "state.json"
POSITIONS_KEPT = 16  # of checkpoints read; one leads to the next
README = "README.md"


def due(branch: Branch) -> dict[str, bytes | None]:
    """The files that the tip lacks or that are out of date; empty when nothing is due."""
    fleet = branch.fleet
    shown = _shown_position(branch)
    files: dict[str, bytes | None] = {}
    if shown != fleet.position:
        files.update(render(branch, since=shown))
        files[README] = card.readme(fleet).encode()
    if fleet.position // CHECKPOINT_EVENTS > _checkpointed(branch) // CHECKPOINT_EVENTS:
        files[CHECKPOINT] = checkpoint(branch)
    return files


def render(branch: Branch, *, since: int | None = None, layout: Layout | None = None) -> dict[str, bytes]:
    """The snapshot's files; those that changed after position `since`, or (None) all."""
    state: conversation.State = branch.fleet.states["conversation"]
    layout = layout or layout_of(branch)
    only = None if since is None else _changed(branch, state, since, layout)
    read = branch.line_at()
    wanted = set(state.positions) if only is None else _numbers_in(state, only, layout)
    interactions = [
        conversation.interaction(state, number, read) if number in wanted else Interaction(number, ())
        for number in sorted(state.positions)
    ]
    rendered = snapshot.files(interactions, layout, position=branch.fleet.position, only=only)
    return {path: text.encode() for path, text in rendered.items()}


def layout_of(branch: Branch) -> Layout:
    """The fleet's own settings, over the built-in ones."""
    settings = branch.fleet.states["settings"].settings
    return Layout(recent=settings.recent, headings={**snapshot.HEADINGS, **settings.headings})


def _changed(branch: Branch, state: conversation.State, since: int, layout: Layout) -> Collection[str] | None:
    read = branch.line_at()
    for position in range(since + 1, branch.fleet.position + 1):
        if b'"type":"config_changed"' in read(position):
            return None  # another layout: everything may look different
    before = [number for number, positions in state.positions.items() if positions[0] <= since]
    touched = {number for number in state.numbers[since:] if number}
    return snapshot.changed(before, state.positions, touched=touched, layout=layout)


def _numbers_in(state: conversation.State, only: Collection[str], layout: Layout) -> set[int]:
    """The interactions whose events the files of `only` show."""
    archived, recent = snapshot.split(state.positions, layout)
    wanted = set(recent)
    if not snapshot.is_split(archived):
        return wanted | (set(archived) if snapshot.ARCHIVE in only else set())
    for volume, numbers in snapshot.volumes_of(archived).items():
        if snapshot.volume_path(volume) in only:
            wanted.update(numbers)
    return wanted


def checkpoint(branch: Branch) -> bytes:
    """The fold at the tip, as JSON; `Branch.resume` starts from it."""
    return json.dumps(branch.dump(), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _root(branch: Branch) -> Mapping[str, Entry]:
    return {} if branch.tip is None else root_of(branch.objects, branch.tip)


def _shown_position(branch: Branch) -> int | None:
    page = read_file(branch, snapshot.COMMUNICATION)
    shown = snapshot.parse_position(page.decode("utf-8", "replace")) if page else None
    # A page that claims to know more than the log was not written by a leader.
    return shown if shown is not None and shown <= branch.fleet.position else None


def _checkpointed(branch: Branch) -> int:
    entry = _root(branch).get(CHECKPOINT)
    if entry is None or entry.is_tree:
        return 0
    if entry.oid not in _positions:
        data = read_file(branch, CHECKPOINT)
        if data is None:
            return 0
        if len(_positions) >= POSITIONS_KEPT:
            _positions.clear()
        _positions[entry.oid] = _position_in(data)
    return _positions[entry.oid]


# Of checkpoints, by the blob's id: its bytes never change, and at 100,000 events to parse them takes 0.1 s a tick.
_positions: dict[Oid, int] = {}


def _position_in(data: bytes) -> int:
    try:
        value: Any = json.loads(data)
        return int(value["fleet"]["position"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0


def read_file(branch: Branch, path: str) -> bytes | None:
    """A file at the top of the ledger branch's tip; None when it is not there."""
    entry = _root(branch).get(path)
    if entry is None or entry.is_tree:
        return None
    try:
        return branch.objects.blob(entry.oid)
    except Corrupt:
        return None
