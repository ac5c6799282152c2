"""Pushes of the branches on which tasks were done: in threads beside the rounds, retried until they succeed.

A push is recorded BEFORE the first attempt, and the record is removed when the remote has accepted it, so that no push
is lost with the process. The branches are kept in the clone in any case.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gitcoord.core.errors import GitcoordError
from gitcoord.core.names import same_agent
from gitcoord.node.tasks.workspace import FOLDER
from gitcoord.store import typed_json
from gitcoord.store.files import read_regular, write_durably
from gitcoord.store.git import code_remote

SUFFIX = ".push"
NOTE_BYTES_MAX = 64 * 1024
FIRST_TRIES = 3  # then the task is reported without the push; a short outage is over by then
PAUSE_S, PAUSE_S_MAX = 1.0, 600.0  # the first pause between two attempts, and the longest: it doubles in between


@dataclass(frozen=True, slots=True)
class PushNote:
    """The branches of one attempt that the remote does not have yet."""

    task: str
    attempt: int
    agent: str
    branches: list[str]


@dataclass(slots=True)
class BranchPush:
    """The push of one attempt's branches."""

    path: Path
    note: PushNote
    tries: int = 0
    trouble: str = ""  # why the last attempt failed
    remote: str = ""  # the name of the remote that has them now
    reported: bool = False  # the fleet knows the task's outcome, without these branches
    due_s: float = 0.0
    _thread: threading.Thread | None = None

    @property
    def is_done(self) -> bool:
        return self.remote != "" and not self.runs

    @property
    def is_settled(self) -> bool:
        """Return whether the task's outcome can be reported: the remote has the branches, or FIRST_TRIES failed."""
        return not self.runs and (self.is_done or self.tries >= FIRST_TRIES)

    @property
    def runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def is_due(self, now_s: float) -> bool:
        return not self.runs and (self._thread is not None or now_s >= self.due_s)

    def start(self, top: Path, fleet_remote: str) -> None:
        self._thread = threading.Thread(target=self._push, args=(top, fleet_remote), daemon=True)
        self._thread.start()

    def _push(self, top: Path, fleet_remote: str) -> None:
        try:
            self.remote, self.trouble = code_remote.push(top, fleet_remote, self.note.branches), ""
        except (GitcoordError, OSError) as wrong:
            self.trouble = str(wrong)

    def ended(self, now_s: float) -> bool:
        """Return whether an attempt has ended since the last call."""
        if self._thread is None or self.runs:
            return False
        self._thread = None
        self.tries += 1
        self.due_s = now_s + min(PAUSE_S * 2 ** (self.tries - 1), PAUSE_S_MAX)
        return True

    def wait(self, timeout_s: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout_s)


class BranchPushes:
    """All unfinished pushes of one agent of this node. `say` reports failures."""

    def __init__(
        self, home: Path, top: Path, fleet_remote: str, agent: str, *, say: Callable[[str, str], None]
    ) -> None:
        self.home, self.top, self.fleet_remote, self.agent, self.say = home, top, fleet_remote, agent, say
        self.pushes = [
            BranchPush(path, note, reported=True)
            for path in sorted((home / FOLDER).glob(f"*{SUFFIX}"))
            if (note := _read(path)) is not None and same_agent(note.agent, agent)
        ]

    def begin(self, task: str, attempt: int, branches: Sequence[str], place: Path) -> BranchPush:
        """Record that the branches are to be pushed, start the push, and return it. Raise OSError if the disk fails."""
        note = PushNote(task, attempt, self.agent, list(branches))
        one = BranchPush(place.with_name(place.name + SUFFIX), note)
        write_durably(one.path, json.dumps(asdict(note)).encode())
        one.start(self.top, self.fleet_remote)
        self.pushes.append(one)
        return one

    def is_due(self, now_s: float) -> bool:
        return any(one.is_due(now_s) for one in self.pushes)

    def step(self, now_s: float) -> list[BranchPush]:
        """Start the pushes that are due. Return those that the remote has accepted since the last call."""
        taken = []
        for one in list(self.pushes):
            if one.ended(now_s):
                taken += [one] if self._note_end(one, now_s) else []
            elif one.is_due(now_s) and not one.runs:
                one.start(self.top, self.fleet_remote)
        return taken

    def _note_end(self, one: BranchPush, now_s: float) -> bool:
        names = ", ".join(one.note.branches)
        if one.is_done:
            with contextlib.suppress(OSError):  # the next run pushes it again, which changes nothing
                one.path.unlink(missing_ok=True)
            self.pushes.remove(one)
            self.say("task", f"{one.note.task[:8]}: {one.remote} has {names}")
            return True
        again_s = one.due_s - now_s
        self.say("push_failed", f"{names} could not be pushed ({one.trouble}); retrying in {again_s:.0f} s")
        return False


def recorded(home: Path) -> list[PushNote]:
    """Return the pushes of all agents of a node that the remote has not accepted yet."""
    found = (_read(path) for path in sorted((home / FOLDER).glob(f"*{SUFFIX}")))
    return [note for note in found if note is not None]


def _read(path: Path) -> PushNote | None:
    try:
        return typed_json.read(PushNote, read_regular(path, bytes_max=NOTE_BYTES_MAX))
    except (OSError, ValueError):
        return None
