"""A workspace: the folder in which one attempt at a task is made; optionally a work tree on a branch of its own.

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
NAMES_MAX = 100  # tried for a folder; each existing one belongs to somebody
PID_MAX = 2**31 - 1
NOTE_BYTES_MAX = 64 * 1024
FETCH_S = 60.0
ASK_S = 10.0  # for the remote's default branch: heartbeats wait; otherwise it is as this clone saw it last


@dataclass(frozen=True, slots=True)
class _Note:
    """The process that works in the folder beside it."""

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

    `remote`: where the branch began, and goes when the task is done; "" if it began at the clone's own.
    """

    folder: Path
    note: Path  # beside it: the process that works in it
    top: Path
    branch: str = ""
    base: str = ""  # the commit that the branch began at
    remote: str = ""
    said: str = ""  # what a person should know of where it began
    _held: list[str] = field(default_factory=list)  # branches made for commits that were on none

    def occupied_by(self, pid: int, task: str, attempt: int, agent: str) -> None:
        """Write down which process works here, so that it can be ended if this one dies.

        Write pid 0 BEFORE it is started: an attempt that may have begun is never begun again.
        """
        born = 0.0
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(pid).create_time() if pid else 0.0
        note = _Note(task, attempt, agent, pid, born, self.branch, self.base, self.remote)
        write_quickly(self.note, json.dumps(asdict(note)).encode())

    def keep(self) -> list[str]:
        """Return the names of the branches that hold what was committed here. What no branch holds gets one."""
        if not self.branch:
            return []
        with contextlib.suppress(GitcoordError):  # `leave` asks again
            self._held += worktrees.hold(self.folder, f"{self.branch}-left")
        now = worktrees.current_branch(self.folder)
        names = [self.branch, *([now] if now not in ("", self.branch) else []), *self._held]
        return [one for one in names if worktrees.has_new_commits(self.top, one, self.base)]

    def artifacts(self) -> list[str]:
        """Return what was committed here as artifacts: each branch, and the commit that it is at."""
        return [
            word for one in self.keep() for word in (f"refs/heads/{one}", worktrees.tip(self.top, f"refs/heads/{one}"))
        ]

    def whereabouts(self) -> str:
        """Return in words where unfinished work is, for the agent that goes on with it; "" if there is none."""
        branches, unsaved = self.keep(), self.unsaved()
        words = [f"on the branch {', '.join(branches)}"] if branches else []
        words += [unsaved] if unsaved else []
        return f"its work is {' and '.join(words)}" if words else ""

    def unsaved(self) -> str:
        """Return in words which work stays in the work tree, because it is in no commit; "" if none does."""
        lost = worktrees.unsaved(self.folder) if self.branch and self.folder.is_dir() else ""
        return f"in the work tree {self.folder.name}, which has {lost}" if lost else ""

    def leave(self) -> str:
        """Clear up, and return where work is that is not finished. A work tree that holds some stays where it is."""
        self.note.unlink(missing_ok=True)
        if not self.branch:
            _remove(self.folder)
            return ""
        if not self.folder.is_dir():
            return f"its work tree {self.folder} is gone"
        try:
            self._held += worktrees.hold(self.folder, f"{self.branch}-left")
            lost = worktrees.unsaved(self.folder)
            if lost:
                return f"{self.folder} is kept: it has {lost}"
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
    folder = _make_folder(_ground(home), name)
    place = Workspace(folder, folder.with_name(f"{folder.name}.json"), top)
    if not worktree:
        return place
    try:
        base, _ = code_remote.base(top, fleet_remote, ask_s=ASK_S, fetch_s=FETCH_S)
        place.remote, place.said = base.remote, base.note
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:TITLE_WORDS].strip("-")
        place.branch, place.base = f"task/{folder.name}" + (f"-{words}" if words else ""), base.commit
        worktrees.add(top, folder, place.branch, base.commit)  # git takes an empty folder
    except GitcoordError:
        _remove(folder)
        raise
    return place


def _ground(home: Path) -> Path:
    """Return the folder of all workspaces. Raise Refused if it is a link: its target is not ours."""
    ground = home / FOLDER
    with contextlib.suppress(FileExistsError):
        make_folder(ground)
    if not stat.S_ISDIR(os.lstat(ground).st_mode):
        raise Refused(f"{ground} is no folder: move it away, then try again")
    return ground


def _make_folder(ground: Path, name: str) -> Path:
    """Make a new folder. An existing one of that name, in any case, belongs to somebody and is left as it is."""
    for number in range(NAMES_MAX):
        folder = ground / (f"{name}-{number}" if number else name)
        with contextlib.suppress(FileExistsError):
            make_folder(folder)
            return folder
    raise Refused(f"{ground} holds {NAMES_MAX} folders named {name}: remove those that nobody works in")


def _remove(folder: Path) -> None:
    """Remove a folder of ours, or what replaced it, and nothing that a link leads to."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(folder.parent).st_mode):
            remove_tree(folder)


@dataclass(frozen=True, slots=True)
class Leftover:
    """An attempt that was cut off together with its `agent run`."""

    task: str
    attempt: int
    left: str = ""  # where work is that it did not finish, for a person here
    work: str = ""  # the same for the fleet


def clear(home: Path, top: Path, agent: str) -> list[Leftover]:
    """End what an earlier run of the agent has left running; return the attempts that it abandoned."""
    found = []
    for path in sorted((home / FOLDER).glob("*.json")):
        note = _read(path)
        if note is None:
            with contextlib.suppress(OSError):
                path.unlink()  # cut off while it was written: the command had not begun
        elif note.agent.casefold() == agent.casefold():
            folder = path.with_suffix("")
            _end(note.pid or _at(folder), note.born)
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


def _at(folder: Path) -> int:
    """Return the process that works in a folder; 0 if there is none."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()) == folder:
                return process.pid
    return 0


def _end(pid: int, born: float) -> None:
    """End the process and what it started, if it is still the same one: ids are used again. `born` 0: not known."""
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
