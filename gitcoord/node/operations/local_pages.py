"""Pages in a work folder: a snapshot of the conversations, the board, and `events.log`, rendered here for people.

A file whose bytes would not change is not touched. Any other is written to a new file, synced, and renamed. After a
crash at any moment, `communication.md` or `communication.md.bak` is a complete page.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import filelock

from gitcoord.core.errors import GitcoordError
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import parse
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import Log, lines_of
from gitcoord.features import FEATURES
from gitcoord.features.pages import board, snapshot
from gitcoord.features.pages.snapshot import Layout
from gitcoord.node import ledger_pages
from gitcoord.node.node import Node
from gitcoord.store import work_files
from gitcoord.store.files import pausing
from gitcoord.store.home import sharing

LOG = "events.log"
BASELINE = (LOG, snapshot.COMMUNICATION, snapshot.ARCHIVE)
BACKUP = f"{snapshot.COMMUNICATION}.bak"
FOREIGN = "events.log.old"  # where an `events.log` is moved that has other lines than ours
LOCK_S = 60.0  # other processes hold it while they render and write: a second for 100,000 events


@contextlib.contextmanager
def writing(node: Node, folder: Path) -> Iterator[None]:
    """Hold the lock for pages: one process of this node writes at a time, so that no older page replaces a newer one.

    Raise Refused if `folder` is no place to write, GitcoordError on a timeout.
    """
    work_files.check_folder(folder, Path.cwd())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with pausing(node.home.path):
            with filelock.FileLock(sharing.touch(node.home.path / "pages.lock")).acquire(timeout=LOCK_S):
                yield
    except filelock.Timeout:
        raise GitcoordError(
            f"another process has been writing pages for {LOCK_S:.0f} s: end it, then try again"
        ) from None


def write_snapshot(node: Node, folder: Path, *, recent: int | None = None) -> list[str]:
    """Update the snapshot in `folder` to what this node knows, queued events included. Return the files that changed.

    `recent` is the number of conversations on the first page; None: the fleet's setting.
    """
    with writing(node, folder):
        branch = with_pending(node)
        layout = ledger_pages.layout_of(branch.fleet)
        if recent is not None:
            layout = Layout(recent=recent, headings=layout.headings)
        read = branch.line_at()
        overview = board.markdown(branch.fleet, lambda at: parse(read(at)).content).encode()
        return put_pages(folder, {**ledger_pages.render(branch, layout=layout), board.BOARD: overview})


def put_pages(folder: Path, pages: Mapping[str, bytes]) -> list[str]:
    """Write the pages that differ from the files there, and return their paths.

    The archive is written first, so that each event is on some page at any moment.
    """
    order = sorted(pages, key=lambda path: (path == snapshot.COMMUNICATION, path == snapshot.ARCHIVE, path))
    changed = []
    for path in order:
        old = work_files.read(folder / path, folder)
        if old == pages[path]:
            continue
        if path == snapshot.COMMUNICATION and old is not None and is_whole(old):
            work_files.write(folder / BACKUP, folder, old)
        work_files.write(folder / path, folder, pages[path])
        changed.append(path)
    return changed


def is_whole(page: bytes) -> bool:
    """Return whether a `communication.md` was written to its end."""
    return page.endswith(snapshot.END.encode() + b"\n")


def write_log(node: Node, folder: Path) -> tuple[bool, Path | None]:
    """Update `events.log` in `folder`: the line of every event in the ledger, then those of the queue.

    Return whether it changed, and where foreign content was moved (None if there was none). Lines are only appended,
    except where queued events got another order in the ledger.
    """
    with writing(node, folder):
        path = folder / LOG
        pending = node.disk.pending()  # BEFORE the ledger: what leaves the queue is there
        fleet, read = node.fleet, node.replica.branch.line_at()
        lines = [read(position) for position in range(1, fleet.position + 1)]
        lines += [event.line for event in pending if event.uid not in fleet.positions]
        data = b"".join(line + b"\n" for line in lines)
        old = work_files.read(path, folder) or b""
        if old == data:
            return False, None
        kept = _keep_foreign(folder, old, lines)
        if old and data.startswith(old):
            work_files.append(path, folder, data[len(old) :], old=old)
        else:
            work_files.write(path, folder, data)
        return True, kept


def _keep_foreign(folder: Path, old: bytes, ours: Sequence[bytes]) -> Path | None:
    """Move a file aside if gitcoord did not write all its lines: those are the user's, and never overwritten.

    Return where it was moved; None if all lines are events.
    """
    lines = lines_of(old)
    if lines and not old.endswith(b"\n") and any(line.startswith(lines[-1]) for line in ours):
        lines.pop()  # torn by a crash while it was added
    if all(_is_event(line) for line in lines):
        return None
    kept = next(path for path in _names(folder) if not os.path.lexists(path))
    work_files.write(kept, folder, old)
    return kept


def _names(folder: Path) -> Iterator[Path]:
    yield folder / FOREIGN
    number = 1
    while True:
        yield folder / f"{FOREIGN}.{number}"
        number += 1


def _is_event(line: bytes) -> bool:
    try:
        parse(line)
    except Malformed:
        return False
    return True


def write_baseline(path: Path) -> list[str]:
    """Write what is missing of the original file layout: empty logs and pages, and a folder for scripts.

    Return the names of what was made.
    """
    pages = {
        snapshot.COMMUNICATION: snapshot.communication([], Layout(), position=0),
        snapshot.ARCHIVE: snapshot.archive([], Layout()),
    }
    made = []
    for name in BASELINE:
        if not os.path.lexists(path / name):
            work_files.write(path / name, path, pages.get(name, "").encode())
            made.append(name)
    if not os.path.lexists(path / "scripts"):
        (path / "scripts").mkdir()
        made.append("scripts/")
    return made


def with_pending(node: Node) -> LedgerBranch:
    """Return the ledger as this node knows it, as if the events in its queue were sequenced next."""
    pending = node.disk.pending()  # BEFORE the ledger, as above
    branch = node.replica.branch
    pending = [event for event in pending if event.uid not in branch.fleet.positions]
    if not pending:
        return branch
    fleet = FleetState.load(branch.fleet.dump(), FEATURES)
    appended = []
    for event in pending:
        with contextlib.suppress(Inadmissible):
            appended.append(fleet.append_verified(event).event.line)
    fleet.position = branch.fleet.position  # the page shows the ledger's position: queued events have none yet
    ahead = LedgerBranch(branch.objects, fleet)
    ahead.log = Log(branch.log.segments, branch.log.counts, (*branch.log.open, *appended))
    return ahead
