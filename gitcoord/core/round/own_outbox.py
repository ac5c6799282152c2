"""Our own outbox on the remote: its values that were seen, the part of the queue that it holds, who overwrites it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gitcoord.core import limits
from gitcoord.core.format.event import Head
from gitcoord.core.ports import Oid

DEFACED_FREE = 3  # times that our outbox is pushed again at once
DEFACED_PAUSE_S, DEFACED_PAUSE_S_MAX = 10.0, 600.0  # before each further time, doubled each time
DEFACED_FORGOTTEN_S = 3600.0


@dataclass(slots=True)
class OwnOutbox:
    """What this process knows of its node's outbox. Times are monotonic seconds."""

    seen: Oid | None = None  # the value that the last fetch showed, or that was accepted since then
    newest: Oid | None = None  # the newest value that the remote is known to have had
    past: dict[Oid, None] = field(default_factory=dict)  # values before `newest`
    merged: Oid | None = None  # the value whose lines were compared with the queue
    durable: Head = Head()  # our chain as the outbox has it
    defaced: Oid | None = None  # the value that somebody without our keys wrote
    defaced_times: int = 0  # within DEFACED_FORGOTTEN_S of each other
    defaced_at_s: float = 0.0  # when that was found the last time
    quiet_until_s: float = 0.0  # somebody overwrites the outbox again and again: do not push it until then

    def is_quiet(self, now_s: float) -> bool:
        """Return whether no outbox is pushed now, because somebody overwrites it again and again."""
        return now_s < self.quiet_until_s

    def confirm(self, oid: Oid | None) -> bool:
        """Note that the remote has this value; return False if a newer one is known, so that it is a stale mirror."""
        if oid == self.newest:
            return True
        if oid is None or oid in self.past:
            return False
        if self.newest is not None:
            self.past[self.newest] = None
            if len(self.past) > limits.PUSHED_IDS_MAX:
                del self.past[next(iter(self.past))]
        self.newest = oid
        return True

    def accept(self, oid: Oid | None, head: Head | None) -> None:
        """Note that the remote took this value from us, which holds our chain up to `head` (None: no lines)."""
        self.seen = self.merged = oid
        self.confirm(oid)
        if head is not None:
            self.durable = head

    def merge(self, oid: Oid) -> None:
        """Note that the lines of this value were compared with the queue."""
        self.merged = oid

    def empty(self) -> None:
        """Note that no line of ours is in the outbox."""
        self.durable = Head()

    def deface(self, oid: Oid, now_s: float) -> float | None:
        """Note that somebody without our keys wrote this value. Return the seconds until ours is pushed again.

        None: that value was noted before. Without pauses, two writers that overwrite each other would never stop.
        """
        self.durable, self.merged = Head(), None
        if oid == self.defaced:
            return None
        self.defaced_times = self.defaced_times + 1 if now_s - self.defaced_at_s < DEFACED_FORGOTTEN_S else 1
        self.defaced, self.defaced_at_s = oid, now_s
        if self.defaced_times <= DEFACED_FREE:
            return 0.0
        pause_s: float = min(DEFACED_PAUSE_S * 2 ** (self.defaced_times - DEFACED_FREE), DEFACED_PAUSE_S_MAX)
        self.quiet_until_s = now_s + pause_s
        return pause_s

    def begin_anew(self) -> None:
        """Forget the outbox: it belongs to a copy of this clone, and we go on under another id."""
        self.durable, self.seen, self.newest, self.merged = Head(), None, None, None

    def copy(self) -> OwnOutbox:
        """Return the same knowledge for a copy of this process."""
        return replace(self, past=dict(self.past))
