"""The ledger's pages: the snapshot, the board, the fleet's card, and sometimes a checkpoint, which the leader writes
beside the log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, GitcoordError
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import parse
from gitcoord.core.format.raw_line import type_of
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ports import Oid
from gitcoord.features import conversation
from gitcoord.features.pages import board, card, snapshot
from gitcoord.features.pages.snapshot import Entry, Interaction, Layout
from gitcoord.node.guards import describe_error

CHECKPOINT_EVENTS = 2048  # at least, between checkpoints: a newcomer folds so many in a quarter of a second
CHECKPOINT_PART = 24  # and a 24th of the log: so all checkpoints together grow linearly with it, not quadratically
POSITIONS_KEPT = 16  # of checkpoints that were read
README = "README.md"


Sealed = Callable[[bytes, LedgerBranch], bytes]
Part = Callable[[LedgerBranch, Sealed], Mapping[str, bytes | None]]


def due(branch: LedgerBranch, sealed: Sealed = lambda data, branch: data) -> dict[str, bytes | None]:
    """Return the files by path that the tip lacks or that are out of date; empty if nothing is due.

    `sealed` signs a checkpoint.
    """
    return {path: data for part in PARTS.values() for path, data in part(branch, sealed).items()}


class Publisher:
    """`due` for a long-running process: a part that fails is left out and reported, and the round goes on without it.

    The part is retried after a number of further events that doubles each time, because the cause is in the log.
    """

    def __init__(self, tell: Callable[[str, str], None], sealed: Sealed) -> None:
        self.tell, self.sealed = tell, sealed
        self._failures: dict[str, int] = {}
        self._after: dict[str, int] = {}  # the position from which a part is retried

    def due(self, branch: LedgerBranch) -> dict[str, bytes | None]:
        """Return the files as the function `due` does, without those of failing parts."""
        files: dict[str, bytes | None] = {}
        for name, part in PARTS.items():
            if branch.fleet.position < self._after.get(name, 0):
                continue
            try:
                files.update(part(branch, self.sealed))
            except GitcoordError:  # of the disk, or of the store, which has a repair of its own
                raise
            except Exception as wrong:  # caused by the ledger's content
                self._failures[name] = failures = self._failures.get(name, 0) + 1
                self._after[name] = branch.fleet.position + 2 ** min(failures, 12)
                self.tell(
                    "part_failed", f"the {name} cannot be written: {describe_error(wrong)}; everything else goes on"
                )
            else:
                self._failures.pop(name, None)
        return files


def _pages(branch: LedgerBranch, sealed: Sealed) -> Mapping[str, bytes | None]:
    shown = _shown_position(branch)
    if shown == branch.fleet.position:
        return {}
    read = branch.line_at()
    return {
        **render(branch, since=shown),
        board.BOARD: board.markdown(branch.fleet, lambda at: parse(read(at)).content).encode(),
        README: card.readme(branch.fleet).encode(),
    }


def _checkpoint(branch: LedgerBranch, sealed: Sealed) -> Mapping[str, bytes | None]:
    saved = _checkpointed(branch)
    if saved is not None and branch.fleet.position - saved < max(CHECKPOINT_EVENTS, saved // CHECKPOINT_PART):
        return {}
    data = sealed(checkpoint.write(branch), branch)
    if len(data) > limits.CHECKPOINT_BYTES_MAX:  # nobody would read it, and a host may reject the whole push for it
        raise OverflowError(
            f"it has {len(data):,} bytes, and at most {limits.CHECKPOINT_BYTES_MAX:,} are read, so newcomers fold "
            "all lines"
        )
    return {checkpoint.PATH: data}


PARTS: Mapping[str, Part] = {"snapshot": _pages, "checkpoint": _checkpoint}


def render(branch: LedgerBranch, *, since: int | None = None, layout: Layout | None = None) -> dict[str, bytes]:
    """Return the snapshot's files by path: those that changed after position `since`; None: all."""
    layout = layout or layout_of(branch.fleet)
    only = None if since is None else _changed(branch, since, layout)
    read = branch.line_at()
    return pages(branch.fleet, layout, lambda at: conversation.entry(at, parse(read(at))), only=only)


def newest_page(branch: LedgerBranch) -> bytes:
    """Return `communication.md` alone; its cost does not depend on the archive's length."""
    read = branch.line_at()
    rendered = pages(
        branch.fleet,
        layout_of(branch.fleet),
        lambda at: conversation.entry(at, parse(read(at))),
        only={snapshot.COMMUNICATION},
    )
    return rendered[snapshot.COMMUNICATION]


def pages(
    fleet: FleetState, layout: Layout, entry_at: Callable[[int], Entry], *, only: Collection[str] | None = None
) -> dict[str, bytes]:
    """Return the snapshot's files by path, or only those in `only`. `entry_at` gives what a page shows of an event."""
    state: conversation.State = fleet.states["conversation"]
    wanted = set(state.positions) if only is None else _numbers_in(state, only, layout)
    interactions = [
        conversation.interaction(state, number, entry_at) if number in wanted else Interaction(number, ())
        for number in state.positions
    ]
    rendered = snapshot.files(interactions, layout, position=fleet.position, only=only)
    return {path: text.encode() for path, text in rendered.items()}


def layout_of(fleet: FleetState) -> Layout:
    """Return the layout of the pages: the fleet's settings over the built-in ones."""
    settings = fleet.states["settings"].settings
    return Layout(recent=settings.recent, headings={**snapshot.HEADINGS, **settings.headings})


def _changed(branch: LedgerBranch, since: int, layout: Layout) -> Collection[str] | None:
    state: conversation.State = branch.fleet.states["conversation"]
    read = branch.line_at()
    for position in range(since + 1, branch.fleet.position + 1):
        if type_of(read(position)) == "config_changed":
            return None  # the layout may have changed, and so all pages
    before = [number for number, positions in state.positions.items() if positions[0] <= since]
    touched = {number for number in state.numbers[since:] if number}
    return snapshot.changed(before, state.positions, touched=touched, layout=layout)


def _numbers_in(state: conversation.State, only: Collection[str], layout: Layout) -> set[int]:
    """Return the interactions whose events the files of `only` show."""
    archived, recent = snapshot.split(state.positions, layout)
    wanted = set(recent)
    if not snapshot.is_split(archived):
        return wanted | (set(archived) if snapshot.ARCHIVE in only else set())
    for volume, numbers in snapshot.volumes_of(archived).items():
        if snapshot.volume_path(volume) in only:
            wanted.update(numbers)
    return wanted


def _shown_position(branch: LedgerBranch) -> int | None:
    page = read_file(branch, snapshot.COMMUNICATION)
    shown = snapshot.parse_position(page.decode("utf-8", "replace")) if page else None
    # A page with a position beyond the log was not written by a leader.
    return shown if shown is not None and shown <= branch.fleet.position else None


def _checkpointed(branch: LedgerBranch) -> int | None:
    """Return the position of the branch's checkpoint: 0 if there is none, None if the file is not a valid one."""
    entry = branch.root.get(checkpoint.PATH)
    if entry is None:
        return 0
    if entry.oid not in _positions:
        if len(_positions) >= POSITIONS_KEPT:
            _positions.clear()
        data = read_file(branch, checkpoint.PATH) or b""
        _positions[entry.oid] = checkpoint.position_of(data)
    position = _positions[entry.oid]
    valid = position is not None and position <= branch.fleet.position and entry.oid != branch.rejected_checkpoint
    return position if valid else None


# Positions of checkpoints by the blob's id, because a checkpoint of 100,000 events has megabytes.
_positions: dict[Oid, int | None] = {}


def read_file(branch: LedgerBranch, path: str) -> bytes | None:
    """Return the bytes of a file in the root of the ledger branch's tip; None if it is missing or damaged."""
    entry = branch.root.get(path)
    if entry is None or entry.is_tree:
        return None
    try:
        return branch.objects.blob(entry.oid, bytes_max=limits.CHECKPOINT_BYTES_MAX)
    except Corrupt:
        return None
