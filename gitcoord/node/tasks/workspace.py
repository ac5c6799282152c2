"""A workspace: the folder in which one attempt at a task runs; optionally a work tree on a branch of its own.

This is the only change that gitcoord makes to the user's repository, and only with `agent run --worktree`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.store import typed_json
from gitcoord.store.files import make_folder, read_regular, write_quickly
from gitcoord.store.git import code_remote, worktrees
from gitcoord.store.removal import remove_tree

FOLDER = "work"
TITLE_WORDS = 40  # characters of a title in a branch's name
NAMES_MAX = 100  # that are tried for a folder: an existing folder is never used again
PID_MAX = 2**31 - 1
NOTE_BYTES_MAX = 64 * 1024
FETCH_S = 60.0
ASK_S = 10.0  # for the remote's default branch, because heartbeats wait; then it is what this clone saw last


@dataclass(frozen=True, slots=True)
class _Note:
    """What the file beside a workspace says of the process that works there."""

    task: str
    attempt: int
    agent: str
    pid: int = 0
    born: float = 0.0
    branch: str = ""
    base: str = ""
    remote: str = ""


@dataclass(slots=True)
class Workspace:
    """A folder for one attempt. `branch` is "" without a work tree.

    `remote` is the remote at which the branch began, and to which it is pushed; "" if it began at the clone's branch.
    """

    folder: Path
    note: Path  # the file beside it, with a `_Note`
    top: Path
    branch: str = ""
    base: str = ""  # the commit at which the branch began
    remote: str = ""
    remark: str = ""  # what a person should know of the commit at which it began
    _held: list[str] = field(default_factory=list)  # branches made for commits that were on none

    def occupied_by(self, pid: int, task: str, attempt: int, agent: str) -> None:
        """Write down which process works here, so that a later run can end it if this one dies.

        Write pid 0 BEFORE the process is started: an attempt that may have begun is never begun again.
        """
        born = 0.0
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(pid).create_time() if pid else 0.0
        note = _Note(task, attempt, agent, pid, born, self.branch, self.base, self.remote)
        write_quickly(self.note, json.dumps(asdict(note)).encode())

    def keep(self) -> list[str]:
        """Return the names of the branches with commits of this attempt. Commits on no branch get one first."""
        if not self.branch:
            return []
        with contextlib.suppress(GitcoordError):  # `leave` asks again
            self._held += worktrees.hold(self.folder, f"{self.branch}-left")
        now = worktrees.current_branch(self.folder)
        names = [self.branch, *([now] if now not in ("", self.branch) else []), *self._held]
        return [one for one in names if worktrees.has_new_commits(self.top, one, self.base)]

    def artifacts(self) -> list[str]:
        """Return artifacts of what was committed here: each branch's ref, and its commit."""
        return [
            word for one in self.keep() for word in (f"refs/heads/{one}", worktrees.tip(self.top, f"refs/heads/{one}"))
        ]

    def whereabouts(self) -> str:
        """Return where unfinished work is, for the agent that continues it; "" if there is none."""
        branches, unsaved = self.keep(), self.unsaved()
        words = [f"on the branch {', '.join(branches)}"] if branches else []
        words += [unsaved] if unsaved else []
        return f"its work is {' and '.join(words)}" if words else ""

    def unsaved(self) -> str:
        """Return which uncommitted work is kept in the work tree; "" if there is none."""
        unsaved = worktrees.unsaved(self.folder) if self.branch and self.folder.is_dir() else ""
        return f"in the work tree {self.folder.name}, which has {unsaved}" if unsaved else ""

    def leave(self) -> str:
        """Remove the folder, unless it is a work tree with unsaved work. Return where such work is, for a person; "" if
        there is none."""
        self.note.unlink(missing_ok=True)
        if not self.branch:
            _remove(self.folder)
            return ""
        if not self.folder.is_dir():
            return f"its work tree {self.folder} is gone"
        try:
            self._held += worktrees.hold(self.folder, f"{self.branch}-left")
            unsaved = worktrees.unsaved(self.folder)
            if unsaved:
                return f"{self.folder} is kept: it has {unsaved}"
            worktrees.remove(self.top, self.folder)
        except GitcoordError as wrong:
            return f"{self.folder} is kept: {wrong}"
        if worktrees.tip(self.top, f"refs/heads/{self.branch}") == self.base:
            worktrees.delete_branch(self.top, self.branch)
        return f"commits that were on no branch are on {', '.join(self._held)}" if self._held else ""


def make(
    home: Path, top: Path, agent: str, task: str, title: str, attempt: int, *, worktree: bool, fleet_remote: str = ""
) -> Workspace:
    """Make a fresh folder, or a work tree at the default branch of the code's remote.

    Raise GitcoordError if git refuses, OSError if the disk does.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", agent.lower()).strip("-")
    name = re.sub(r"[^A-Za-z0-9-]+", "-", f"{task}-{attempt}-{slug}")  # the full id: its author chooses how it begins
    folder = _make_folder(_workspaces(home), name)
    place = Workspace(folder, folder.with_name(f"{folder.name}.json"), top)
    if not worktree:
        return place
    try:
        base, _ = code_remote.base(top, fleet_remote, ask_s=ASK_S, fetch_s=FETCH_S)
        place.remote, place.remark = base.remote, base.note
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:TITLE_WORDS].strip("-")
        place.branch, place.base = f"task/{folder.name}" + (f"-{words}" if words else ""), base.commit
        worktrees.add(top, folder, place.branch, base.commit)  # git takes an empty folder
    except GitcoordError:
        _remove(folder)
        raise
    return place


def _workspaces(home: Path) -> Path:
    """Return the folder of all workspaces. Raise Refused if it is a link: its target is not ours."""
    parent = home / FOLDER
    with contextlib.suppress(FileExistsError):
        make_folder(parent)
    if not stat.S_ISDIR(os.lstat(parent).st_mode):
        raise Refused(f"{parent} is no folder: move it away, then try again")
    return parent


def _make_folder(parent: Path, name: str) -> Path:
    """Return a new folder of that name, with a number where the name is taken (in any case): that one is not ours."""
    for number in range(NAMES_MAX):
        folder = parent / (f"{name}-{number}" if number else name)
        with contextlib.suppress(FileExistsError):
            make_folder(folder)
            return folder
    raise Refused(f"{parent} holds {NAMES_MAX} folders named {name}: remove those that nobody works in")


def _remove(folder: Path) -> None:
    """Remove a folder of ours, or what replaced it, and nothing that a link leads to."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(folder.parent).st_mode):
            remove_tree(folder)


@dataclass(frozen=True, slots=True)
class Leftover:
    """An attempt that was interrupted together with its `agent run`."""

    task: str
    attempt: int
    left: str = ""  # where its unfinished work is, for a person, for a person here
    work: str = ""  # the same for the fleet


def clear(home: Path, top: Path, agent: str) -> list[Leftover]:
    """End the processes that an earlier run of the agent has left running. Return the attempts that it abandoned."""
    found = []
    for path in sorted((home / FOLDER).glob("*.json")):
        note = _read(path)
        if note is None:
            with contextlib.suppress(OSError):
                path.unlink()  # the run was killed while it wrote the note: the command had not begun
        elif note.agent.casefold() == agent.casefold():
            folder = path.with_suffix("")
            _end(note.pid or _process_in(folder), note.born)
            place, left, work = Workspace(folder, path, top, note.branch, note.base, note.remote), "", ""
            with contextlib.suppress(OSError):
                work = place.whereabouts()
                left = place.leave()
            found.append(Leftover(note.task, note.attempt, left, work))
    return found


def _read(path: Path) -> _Note | None:
    try:
        note = typed_json.read(_Note, read_regular(path, bytes_max=NOTE_BYTES_MAX))
    except (OSError, ValueError):
        return None
    return note if 0 <= note.pid <= PID_MAX else None


def _process_in(folder: Path) -> int:
    """Return the id of a process whose working folder is `folder`; 0 if there is none."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()) == folder:
                return process.pid
    return 0


def _end(pid: int, born: float) -> None:
    """Kill a process and its descendants, unless its id belongs to another process now.

    `born` is when it was started, in seconds since the epoch; 0 if that is not known.
    """
    if not pid:
        return
    try:
        process = psutil.Process(pid)
        if born and abs(process.create_time() - born) > 1.0:
            return
        family = [*process.children(recursive=True), process]
    except psutil.Error:
        return
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.kill()
