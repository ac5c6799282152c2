"""A replica: what one process holds in memory of the fleet and of the remote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.fold.ledger_time import FirstSeen
from gitcoord.core.format.event import Event, Head, parse, parse_all
from gitcoord.core.leadership.budget import Budget
from gitcoord.core.leadership.session import Random
from gitcoord.core.ledger import anchors as anchor
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.anchors import Anchors
from gitcoord.core.ledger.branch import Branch
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.ports import Objects, Oid
from gitcoord.core.round.effects import DurableState

QUIET_S = 60.0  # after the remote denied the ledger: leave it alone that long
REFUSED_S = 3600.0  # an event that a hook minds is tried again after that: hooks change


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
    rng: Random
    outboxes: dict[str, Outbox] = field(default_factory=dict)
    publish: Callable[[Branch], Mapping[str, bytes | None]] = lambda branch: {}
    anchors: Anchors = field(default_factory=Anchors)  # what was given to go by: the founder's key, a digest
    accepts_checkpoints: bool = True  # a newcomer may begin with a checkpoint
    parented_outbox: bool = False  # the host denies rewriting: give outbox commits their predecessor
    quiet_until_s: float = 0.0
    contended_until_s: float = 0.0  # others extend the ledger just now: give way
    blocked: str | None = None  # uid of a queued event that the remote refuses
    durable: Head = Head()  # our chain as the outbox on the remote has it
    waiting: dict[str, tuple[int, float]] = field(default_factory=dict)  # node → its first unsequenced seq, since
    unchanged: dict[str, tuple[Oid, float]] = field(default_factory=dict)  # node → its outbox, seen so since
    own_seen: Oid | None = None  # our outbox as the last fetch showed it, or as accepted since
    own_newest: Oid | None = None  # the newest value of our outbox that the remote is known to have had
    own_past: dict[Oid, None] = field(default_factory=dict)  # values that came before that one
    merged: Oid | None = None  # our outbox whose lines were compared with the queue
    defaced: Oid | None = None  # what somebody without our keys put into our outbox's place
    defaced_times: int = 0  # lately
    defaced_at_s: float = 0.0  # when it was found the last time
    own_quiet_until_s: float = 0.0  # somebody overwrites our outbox again and again: push none until then
    told_left: frozenset[str] = frozenset()  # outboxes of which it was told that they stay on the remote
    told_strays: bool = False
    told_waiting: str | None = None  # why our first event does not take its place today, as it was told
    reclaimed: set[str] = field(default_factory=set)  # uids of vanished events that were chained anew here
    first_seen: FirstSeen = field(default_factory=FirstSeen)
    void_uids: tuple[Oid | None, frozenset[tuple[str, str, str]]] | None = None  # at a tip: uid, actor, key
    refused: dict[str, float] = field(default_factory=dict)  # uids that the ledger's hook seems to mind, until when
    denied_alone: bool = False  # the last ledger write held one event and was denied
    suspects: int = 0  # after a denied batch: no more than so many lines in the next; 0: no limit
    rotation: int = 0
    duties: Budget = field(
        default_factory=lambda: Budget(limits.DUTIES_PER_MINUTE, limits.DUTIES_AT_ONCE, limits.DUTIES_AT_ONCE)
    )
    parsed: dict[bytes, Event | None] = field(default_factory=dict)  # offered lines: the event, if well formed
    checked: dict[bytes, Event | None] = field(default_factory=dict)  # of those, when the signature is good as well

    def seen_s(self, position: int) -> float:
        """Return the seconds since the ledger was first seen here to have this position."""
        return self.first_seen.age_s(position, self.clock.monotonic_s())

    def parse(self, line: bytes) -> Event | None:
        """The event in an offered line, if it is well formed. Each line is parsed once."""
        if line not in self.parsed:
            self.parsed[line] = next(iter(parse_all([line])), None)
        return self.parsed[line]

    def check(self, line: bytes) -> Event | None:
        """The event in an offered line, if it is well formed and rightly signed. Each line is checked once."""
        if self.branch.fleet.id is None:
            return None  # no signature can be checked before the fleet is known
        if line not in self.checked:
            event = self.parse(line)
            self.checked[line] = event if event and _is_signed(self.branch, event) else None
        return self.checked[line]

    def forget(self, keep: Iterable[bytes]) -> None:
        """Let go of parsed lines that nobody offers any more."""
        offered = set(keep)
        if len(self.parsed) > 2 * len(offered) + 1000:
            self.parsed = {line: event for line, event in self.parsed.items() if line in offered}
            self.checked = {line: event for line, event in self.checked.items() if line in offered}

    def confirm_own(self, oid: Oid | None) -> bool:
        """Our outbox on the remote is `oid`; False when that is an older state than one known: a stale mirror."""
        if oid == self.own_newest:
            return True
        if oid is None or oid in self.own_past:
            return False
        if self.own_newest is not None:
            self.own_past[self.own_newest] = None
            if len(self.own_past) > limits.PUSHED_IDS_MAX:
                del self.own_past[next(iter(self.own_past))]
        self.own_newest = oid
        return True

    def is_sequenced(self, line: bytes) -> bool:
        """Whether the ledger holds this event, at its own place or another (or it can never count: a lost term's)."""
        event = self.check(line)
        if event is None or event.seq is None or event.uid in self.branch.fleet.positions:
            return True
        if event.seq > self.heads.get(event.node, Head()).seq:
            return False
        return event.term is not None or self._is_void_in_ledger(event)

    def _is_void_in_ledger(self, event: Event) -> bool:
        """Whether the ledger holds the event without effect. Reads the whole log: asked for displaced lines only."""
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
        """The newest heartbeats in all outboxes, signatures checked against the members' keys."""
        return [heartbeat for box in self.outboxes.values() for heartbeat in box.heartbeats]


def own_ref(replica: Replica, disk: DurableState) -> str:
    return replica.outbox_prefix + disk.node


def _is_signed(branch: Branch, event: Event) -> bool:
    try:
        branch.fleet.check_signature(event)
    except Inadmissible:
        return False
    return True


def descends(objects: Objects, old: Oid, new: Oid) -> bool:
    """Whether `new` extends `old` along first parents: what a merge brings in from the side is no ledger."""
    if old == new:
        return True
    try:
        commits = objects.first_parents(new, stop=old, limit=limits.COMMITS_MAX)
        return bool(commits) and objects.commit(commits[0]).parents[:1] == (old,)
    except Corrupt:
        return False


def advance_to(replica: Replica, tip: Oid, *, known: Mapping[bytes, Event | None] | None = None) -> None:
    """Bring the branch to `tip`: commit by commit where they are few, else from the tip's own tree and checkpoint.

    What is trusted is a function of the whole history. Where a tree was believed without a look at what came
    before it, and damage is found then or later, every commit is walked from the start: so a newcomer and one
    who was there all the time trust the same lines.
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
    if branch.fleet.id and fresh.fleet.id != branch.fleet.id:
        raise Corrupt(
            f"the remote's ledger is of fleet {fresh.fleet.id}, this clone belongs to {branch.fleet.id}: "
            "name the right remote, or run `gitcoord leave` and `gitcoord init` to join the new one"
        )
    if replica.anchors and not fresh.checkpoint_position:
        read = fresh.line_at()
        wanted = max((position for position, _ in replica.anchors.digests), default=1)
        anchor.check(replica.anchors, [read(at) for at in range(1, min(wanted, fresh.fleet.position) + 1)])
    replica.branch = fresh


def _only_grew(replica: Replica, tip: Oid) -> bool:
    """Whether none of the newest commits took lines away: what was tampered with lately may look well formed."""
    commits = replica.objects.first_parents(tip, stop=None, limit=limits.LOOK_BACK_COMMITS)
    scan = replica.fresh()
    return all(scan.extends(older, newer) for older, newer in pairwise(commits))


def _walk(replica: Replica, tip: Oid) -> Branch:
    fresh = replica.fresh()
    for commit in replica.objects.first_parents(tip, stop=None, limit=limits.COMMITS_MAX):
        fresh.apply_commit(commit)
        if not fresh.fleet.position:  # each of thousands of commits would be damage that nobody mends
            reason = f": {fresh.bad[0].reason}" if fresh.bad else ""
            raise Corrupt(
                f"the ledger does not begin as this version of gitcoord writes one ({commit[:12]}{reason}): "
                "use the version that wrote it, or run `gitcoord leave` and `gitcoord init` elsewhere"
            )
    return fresh
