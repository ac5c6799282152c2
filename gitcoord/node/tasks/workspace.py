"""A workspace: the folder in which one attempt at a task is made; optionally a work tree on a branch of its own.

This is the only change that gitcoord makes to the user's repository, and only with `agent run --worktree`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.store import typed_json
from gitcoord.store.files import make_folder, read_regular, write_quickly
from gitcoord.store.git import worktrees
from gitcoord.store.removal import remove_tree

FOLDER = "work"
TITLE_WORDS = 40  # characters of a title in a branch's name
NAMES_MAX = 100  # tried for a folder; each existing one belongs to somebody
PID_MAX = 2**31 - 1
NOTE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Note:
    """The process that works in the folder beside it."""

    task: str
    attempt: int
    agent: str
    pid: int = 0
    born: float = 0.0
    branch: str = ""


@dataclass(slots=True)
class Workspace:
    """A folder for one attempt. `branch` is "" without a work tree."""

    folder: Path
    note: Path  # beside it: the process that works in it
    top: Path
    branch: str = ""
    base: str = ""  # the commit that the branch began at

    def occupied_by(self, pid: int, task: str, attempt: int, agent: str) -> None:
        """Write down which process works here, so that it can be ended if this one dies.

        Write pid 0 BEFORE it is started: an attempt that may have begun is never begun again.
        """
        born = 0.0
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(pid).create_time() if pid else 0.0
        note = _Note(task, attempt, agent, pid, born, self.branch)
        write_quickly(self.note, json.dumps(asdict(note)).encode())

    def keep(self) -> list[str]:
        """Return the artifacts that last: the branch, if there is something on it."""
        if not self.branch or worktrees.tip(self.top, self.branch) in ("", self.base):
            return []
        return [f"refs/heads/{self.branch}"]

    def leave(self) -> str:
        """Clear up. Uncommitted work stays where it is, and the answer says where."""
        self.note.unlink(missing_ok=True)
        if not self.branch:
            _remove(self.folder)
            return ""
        if worktrees.is_dirty(self.folder):
            return f"what is not committed is left in {self.folder}"
        worktrees.remove(self.top, self.folder)
        if worktrees.tip(self.top, self.branch) == self.base:
            worktrees.delete_branch(self.top, self.branch)
        return ""


def make(home: Path, top: Path, agent: str, task: str, title: str, attempt: int, *, worktree: bool) -> Workspace:
    """Make a fresh folder, or work tree at HEAD. Raise GitcoordError if git refuses, OSError if the disk does."""
    slug = re.sub(r"[^a-z0-9]+", "-", agent.lower()).strip("-")
    name = re.sub(r"[^A-Za-z0-9-]+", "-", f"{task}-{attempt}-{slug}")  # the full id: its author chooses how it begins
    folder = _make_folder(_ground(home), name)
    place = Workspace(folder, folder.with_name(f"{folder.name}.json"), top)
    if not worktree:
        return place
    try:
        base = worktrees.tip(top, "HEAD")
        if not base:
            raise Refused("--worktree needs a commit to begin at: this repository has none yet")
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:TITLE_WORDS].strip("-")
        place.branch, place.base = f"task/{folder.name}" + (f"-{words}" if words else ""), base
        worktrees.add(top, folder, place.branch, base)  # git takes an empty folder
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


def clear(home: Path, agent: str) -> list[Leftover]:
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
            found.append(Leftover(note.task, note.attempt))
            with contextlib.suppress(OSError):
                if not note.branch:
                    _remove(folder)
                path.unlink(missing_ok=True)
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
