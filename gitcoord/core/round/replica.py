"""A replica: what one process holds in memory of the fleet and of the remote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, ForeignLedger
from gitcoord.core.fold.ledger_time import FirstSeen
from gitcoord.core.format.event import Event, Head, parse
from gitcoord.core.leadership.budget import Budget
from gitcoord.core.leadership.session import Random
from gitcoord.core.ledger import anchors as anchor
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.anchors import Anchors
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.ports import Objects, Oid
from gitcoord.core.round.effects import DurableState
from gitcoord.core.round.hook_refusals import HookRefusals
from gitcoord.core.round.line_cache import LineCache
from gitcoord.core.round.own_outbox import OwnOutbox


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
    fresh: Callable[[], LedgerBranch]  # an empty branch reader, to fold from the start
    branch: LedgerBranch
    ledger_ref: str
    outbox_prefix: str  # "refs/gitcoord/nodes/"
    clock: Clock
    rng: Random
    fleet_id: str = ""  # "": the first ledger that is read says it
    outboxes: dict[str, Outbox] = field(default_factory=dict)
    publish: Callable[[LedgerBranch], Mapping[str, bytes | None]] = lambda branch: {}
    anchors: Anchors = field(default_factory=Anchors)  # what a newcomer was told to trust: the founder's key, a digest
    accepts_checkpoints: bool = True  # a newcomer may begin with a checkpoint
    parented_outbox: bool = False  # the host denies rewriting: give outbox commits their predecessor
    lines: LineCache = field(default_factory=LineCache)  # lines that the outboxes offer
    own: OwnOutbox = field(default_factory=OwnOutbox)
    refusals: HookRefusals = field(default_factory=HookRefusals)
    contended_until_s: float = 0.0  # others extend the ledger until then (`contention.py`)
    waiting: dict[str, tuple[int, float]] = field(default_factory=dict)  # node → its first unsequenced seq, since
    unchanged: dict[str, tuple[Oid, float]] = field(default_factory=dict)  # node → its outbox, seen so since
    told_left: frozenset[str] = frozenset()  # outboxes that were reported to be left on the remote
    told_strays: bool = False
    told_waiting: str | None = None  # why our first event is not admitted today, as it was reported
    reclaimed: set[str] = field(default_factory=set)  # uids of lost events that were resubmitted here
    first_seen: FirstSeen = field(default_factory=FirstSeen)
    void_uids: tuple[Oid | None, frozenset[tuple[str, str, str]]] | None = None  # at a tip: uid, actor, key
    rotation: int = 0  # of the nodes whose lines come first into a batch
    duties: Budget = field(
        default_factory=lambda: Budget(limits.DUTIES_PER_MINUTE, limits.DUTIES_AT_ONCE, limits.DUTIES_AT_ONCE)
    )

    def seen_s(self, position: int) -> float:
        """Return the seconds since the ledger was first seen here to have this position."""
        return self.first_seen.age_s(position, self.clock.monotonic_s())

    def check(self, line: bytes) -> Event | None:
        """Return the event in an offered line; None if it is not well formed and rightly signed."""
        return self.lines.check(line, self.branch.fleet)

    def is_sequenced(self, line: bytes) -> bool:
        """Return whether the ledger holds this event, or the event can never count (its term was lost)."""
        event = self.check(line)
        if event is None or event.seq is None or event.uid in self.branch.fleet.positions:
            return True
        if event.seq > self.heads.get(event.node, Head()).seq:
            return False
        return event.term is not None or self._is_void_in_ledger(event)

    def _is_void_in_ledger(self, event: Event) -> bool:
        """Return whether the ledger holds the event without effect. Reads the whole log: for displaced lines only."""
        known = self.void_uids
        if known is None or known[0] != self.branch.tip:
            voids = set()
            read = self.branch.line_at()
            effective = set(self.branch.fleet.positions.values())
            for position in range(1, self.branch.fleet.position + 1):
                if position not in effective:
                    other = parse(read(position))
                    voids.add((other.uid, other.actor, other.key))
            known = self.void_uids = (self.branch.tip, frozenset(voids))
        return (event.uid, event.actor, event.key) in known[1]

    @property
    def heads(self) -> Mapping[str, Head]:
        return self.branch.fleet.heads

    def heartbeats(self) -> list[Event]:
        """Return the newest heartbeats in all outboxes, signatures checked against the members' keys."""
        return [heartbeat for box in self.outboxes.values() for heartbeat in box.heartbeats]


def own_ref(replica: Replica, disk: DurableState) -> str:
    """Return the name of our outbox on the remote."""
    return replica.outbox_prefix + disk.node


def descends(objects: Objects, old: Oid, new: Oid) -> bool:
    """Return whether `new` extends `old` along first parents: commits that a merge brings in are no ledger."""
    if old == new:
        return True
    try:
        commits = objects.first_parents(new, stop=old, limit=limits.COMMITS_MAX)
        return bool(commits) and objects.commit(commits[0]).parents[:1] == (old,)
    except Corrupt:
        return False


def advance_to(replica: Replica, tip: Oid, *, known: Mapping[bytes, Event | None] | None = None) -> None:
    """Bring the branch to `tip`: commit by commit where they are few, otherwise from the tip's tree and checkpoint.

    Which lines are trusted is a function of the whole history. If a tree was believed without reading the commits
    before it, and damage is found then or later, every commit is walked from the first. So a newcomer and a node that
    was there all the time trust the same lines.
    """
    branch = replica.branch
    if branch.tip is not None and descends(replica.objects, branch.tip, tip):
        damages = branch.damages
        commits = replica.objects.first_parents(tip, stop=branch.tip, limit=limits.CATCH_UP_COMMITS_MAX + 1)
        if len(commits) > limits.CATCH_UP_COMMITS_MAX:
            branch.fully_walked = False
            branch.apply_commit(tip, known=known)
        else:
            for commit in commits:
                checkpoint.check(branch, commit)
                branch.apply_commit(commit, known=known)
        if branch.damages > damages and not branch.fully_walked:
            replica.branch = _walk(replica, tip)
        return
    fresh = replica.fresh()
    if replica.accepts_checkpoints:
        checkpoint.start(fresh, tip, replica.anchors)
    fresh.apply_commit(tip)
    fresh.fully_walked = not replica.objects.commit(tip).parents
    if fresh.damaged or not _only_grew(replica, tip):
        fresh = _walk(replica, tip)
    mine = branch.fleet.id or replica.fleet_id
    if mine and fresh.fleet.id != mine:
        raise ForeignLedger(
            f"the remote's ledger is of fleet {fresh.fleet.id}, this clone belongs to {mine}: "
            "name the right remote, or run `gitcoord leave` and `gitcoord init` to join the new one"
        )
    if replica.anchors and not fresh.checkpoint_position:
        read = fresh.line_at()
        wanted = max((position for position, _ in replica.anchors.digests), default=1)
        anchor.check(replica.anchors, [read(at) for at in range(1, min(wanted, fresh.fleet.position) + 1)])
    replica.branch = fresh


def _only_grew(replica: Replica, tip: Oid) -> bool:
    """Return whether none of the newest commits removed lines: a log that was tampered with may look well formed."""
    commits = replica.objects.first_parents(tip, stop=None, limit=limits.LOOK_BACK_COMMITS)
    scan = replica.fresh()
    return all(scan.extends(older, newer) for older, newer in pairwise(commits))


def _walk(replica: Replica, tip: Oid) -> LedgerBranch:
    fresh = replica.fresh()
    for commit in replica.objects.first_parents(tip, stop=None, limit=limits.COMMITS_MAX):
        fresh.apply_commit(commit)
        if not fresh.fleet.position:  # each of thousands of commits would be damage that nobody repairs
            reason = f": {fresh.bad[0].reason}" if fresh.bad else ""
            raise ForeignLedger(
                f"the ledger does not begin as this version of gitcoord writes one ({commit[:12]}{reason}): "
                "use the version that wrote it, or run `gitcoord leave` and `gitcoord init` elsewhere"
            )
    return fresh
