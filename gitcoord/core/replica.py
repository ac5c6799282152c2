"""A replica: what one process holds in memory of the fleet and of the remote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gitcoord.core import limits
from gitcoord.core.branch import Branch
from gitcoord.core.effects import Disk
from gitcoord.core.errors import Corrupt
from gitcoord.core.event import Event, Head
from gitcoord.core.outbox import Outbox
from gitcoord.core.ports import Objects, Oid
from gitcoord.core.session import Chance


@dataclass(slots=True)
class Clock:
    """Time as the driver tells it: monotonic seconds, and the wall's for people."""

    monotonic_s: Callable[[], float]
    timestamp: Callable[[], str]
    epoch_s: Callable[[], int]


@dataclass(slots=True)
class Replica:
    """What one process holds in memory of fleet and remote."""

    objects: Objects
    fresh: Callable[[], Branch]  # an empty branch reader, to fold from the start
    branch: Branch
    ledger_ref: str
    outbox_prefix: str  # "refs/gitcoord/nodes/"
    clock: Clock
    chance: Chance
    outboxes: dict[str, Outbox] = field(default_factory=dict)
    publish: Callable[[Branch], Mapping[str, bytes | None]] = lambda branch: {}
    parented_outbox: bool = False  # the host denies rewriting: give outbox commits their predecessor
    quiet_until_s: float = 0.0
    blocked: str | None = None  # uid of a queued event that the remote refuses
    durable: Head = Head()  # our chain as the outbox on the remote has it
    waiting: dict[str, tuple[int, float]] = field(default_factory=dict)  # node → its first unsequenced seq, since
    own_seen: Oid | None = None  # our outbox as the last fetch showed it, or as accepted since
    rotation: int = 0

    @property
    def heads(self) -> Mapping[str, Head]:
        return self.branch.fleet.heads

    def beats(self) -> list[Event]:
        """The newest beats in all outboxes, signatures checked against the members' keys."""
        return [beat for box in self.outboxes.values() for beat in box.beats]


def own_ref(me: Replica, disk: Disk) -> str:
    return me.outbox_prefix + disk.node


def absorb(me: Replica, tip: Oid) -> None:
    """Bring the branch to `tip`: commit by commit where they are few, else from the tip's own tree.

    A damaged tree is never believed on its own: then every commit is walked from the start, so that a
    newcomer and one who was there all the time trust the same lines.
    """
    branch = me.branch
    commits = me.objects.first_parents(tip, stop=branch.tip, limit=limits.CATCH_UP_COMMITS_MAX + 1)
    known = branch.tip is not None and me.objects.is_ancestor(branch.tip, tip)
    if known and len(commits) <= limits.CATCH_UP_COMMITS_MAX:
        for commit in commits:
            branch.absorb(commit)
        return
    fresh = me.fresh()
    fresh.absorb(tip)
    if fresh.damaged:
        fresh = me.fresh()
        for commit in me.objects.first_parents(tip, stop=None, limit=10**9):
            fresh.absorb(commit)
    if branch.fleet.id and fresh.fleet.id != branch.fleet.id:
        raise Corrupt(
            f"the remote's ledger is of fleet {fresh.fleet.id}, this clone belongs to {branch.fleet.id}: "
            "name the right remote, or run `gitcoord leave` and `gitcoord init` to join the new one"
        )
    me.branch = fresh
