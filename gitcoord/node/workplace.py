"""A workplace: the folder in which one attempt at a task is made; a work tree on a branch of its own, where asked for.

It is the only thing that gitcoord does to the user's repository, and only with `agent run --worktree`.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from gitcoord.core.errors import Refused
from gitcoord.store import worktrees
from gitcoord.store.files import write_quickly

FOLDER = "work"
TITLE_WORDS = 40  # characters of a title in a branch's name


@dataclass(slots=True)
class Workplace:
    """`branch` is "" without a work tree."""

    folder: Path
    note: Path  # beside it: who works in it
    top: Path
    branch: str = ""
    base: str = ""  # the commit that the branch began at

    def occupied_by(self, pid: int, task: str, attempt: int, agent: str) -> None:
        """Write down which process works here, so that it can be ended should this one die.

        Pid 0 BEFORE it is started: an attempt that was perhaps begun is never begun again.
        """
        born = 0.0
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(pid).create_time() if pid else 0.0
        value = {"pid": pid, "born": born, "task": task, "attempt": attempt, "agent": agent, "branch": self.branch}
        write_quickly(self.note, json.dumps(value).encode())

    def keep(self) -> list[str]:
        """What of the work lasts, as artifacts: the branch, if there is something on it."""
        if not self.branch or worktrees.tip(self.top, self.branch) in ("", self.base):
            return []
        return [f"refs/heads/{self.branch}"]

    def leave(self) -> str:
        """Clear up. What was not committed is left where it is: then the answer says where."""
        self.note.unlink(missing_ok=True)
        if not self.branch:
            shutil.rmtree(self.folder, ignore_errors=True)
            return ""
        if worktrees.is_dirty(self.folder):
            return f"what is not committed is left in {self.folder}"
        worktrees.remove(self.top, self.folder)
        if worktrees.tip(self.top, self.branch) == self.base:
            worktrees.delete_branch(self.top, self.branch)
        return ""


def make(home: Path, top: Path, agent: str, task: str, title: str, attempt: int, *, worktree: bool) -> Workplace:
    """A fresh folder, or work tree at HEAD. Raises GitcoordError when git will not."""
    name = f"{task[:8]}-{attempt}-{re.sub(r'[^a-z0-9]+', '-', agent.lower()).strip('-')}"
    folder = home / FOLDER / name
    folder.parent.mkdir(exist_ok=True)
    place = Workplace(folder, folder.with_name(f"{name}.json"), top)
    if not worktree:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return place
    base = worktrees.tip(top, "HEAD")
    if not base:
        raise Refused("--worktree needs a commit to begin at: this repository has none yet")
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:TITLE_WORDS].strip("-")
    place.branch, place.base = f"task/{name}" + (f"-{words}" if words else ""), base
    worktrees.add(top, folder, place.branch, base)
    return place


@dataclass(frozen=True, slots=True)
class Leftover:
    """An attempt that was cut off together with its `agent run`."""

    task: str
    attempt: int


def clear(home: Path, agent: str) -> list[Leftover]:
    """End what an earlier run of the agent has left running, which nobody looks after; and tell what that was."""
    found = []
    for note in sorted((home / FOLDER).glob("*.json")):
        try:
            value = json.loads(note.read_bytes())
            pid, born, of = int(value["pid"]), float(value["born"]), str(value["agent"])
            leftover = Leftover(str(value["task"]), int(value["attempt"]))
        except (ValueError, KeyError, TypeError):
            note.unlink(missing_ok=True)  # cut off in the middle of being written: before the command was looked after
            continue
        if of.casefold() == agent.casefold():
            folder = note.with_suffix("")
            _end(pid or _at(folder), born)
            found.append(leftover)
            if not value.get("branch"):
                shutil.rmtree(folder, ignore_errors=True)
            note.unlink(missing_ok=True)
    return found


def _at(folder: Path) -> int:
    """The process that works in a folder; 0 when there is none."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()) == folder:
                return process.pid
    return 0


def _end(pid: int, born: float) -> None:
    """The process and what it started, if it is still that one: numbers are used again. `born` 0: not known."""
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
