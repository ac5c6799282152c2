"""The sync round, sans I/O: it yields effects, and whoever drives it performs them for real or in a model.

    fetch → follow the ledger → know oneself → settle the queue → (lead, stand) → one push → told

One push carries the outbox, pinned to its own last value, and the ledger, pinned to the tip just folded.
Every round fetches before it pushes, and sequences everyone's events that it fetched: only so does a winner
carry the others along. (A prototype without that starved 15 of 16 writers.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gitcoord.core import limits, outbox
from gitcoord.core.branch import Branch
from gitcoord.core.errors import BadCredentials, Corrupt, Denied, Lost, Unreachable
from gitcoord.core.event import Draft, Event, Head, hash_of
from gitcoord.core.fleet import Duty, Inadmissible, draft_of
from gitcoord.core.names import uid_from
from gitcoord.core.outbox import Outbox
from gitcoord.core.ports import Objects, Oid, Outcome, Pushed, Update
from gitcoord.core.session import Chance, Crew, Session

QUIET_S = 60.0  # after a hook denied the ledger: leave it alone that long


# Effects. What each is answered with stands behind it.


@dataclass(frozen=True, slots=True)
class Fetch:
    """→ refs by name; raises Unreachable, BadCredentials, Denied"""


@dataclass(frozen=True, slots=True)
class Push:
    """→ `Pushed` by ref"""

    updates: tuple[Update, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """→ None, after a random time of at most this (or two round trips × 2^losses, whichever is less)"""

    losses: int


@dataclass(frozen=True, slots=True)
class SaveTip:
    """→ None, once the last tip seen and the highest term are durable"""

    oid: Oid
    term: int


@dataclass(frozen=True, slots=True)
class Trim:
    """→ None. Queued lines up to `head` are in the ledger. The head is made durable BEFORE they go"""

    head: Head


@dataclass(frozen=True, slots=True)
class ChainAnew:
    """→ None. What is queued is chained again after `head`, same uids, without those that are sequenced"""

    head: Head
    sequenced: frozenset[str]


@dataclass(frozen=True, slots=True)
class Adopt:
    """→ None. Lines of our own outbox that the disk lacks go to the queue's end"""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class BecomeNewNode:
    """→ the new node id, durable, with the queue chained anew under it"""

    reason: str


@dataclass(frozen=True, slots=True)
class NoteOutbox:
    """→ None, once the id of the outbox commit about to be pushed is durable"""

    oid: Oid


@dataclass(frozen=True, slots=True)
class Carry:
    """→ None, once these lines, which a ledger lost, are durable here to be offered again"""

    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """→ None, once the leader's own events are durable in the queue"""

    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """→ None. `kind` is one word for machines, `text` for people"""

    kind: str
    text: str


Effect = (
    Fetch | Push | Wait | SaveTip | Trim | ChainAnew | Adopt | BecomeNewNode | NoteOutbox | Carry | Append | Tell
)
Steps = Generator[Effect, Any, None]


class Disk(Protocol):
    """What of a node survives a crash; only effects change it."""

    @property
    def node(self) -> str: ...

    @property
    def base(self) -> Head:
        """The chain before the first queued line."""

    @property
    def tip(self) -> Oid | None:
        """The last ledger tip seen."""

    @property
    def term(self) -> int:
        """The highest term ever seen."""

    @property
    def carried(self) -> Sequence[bytes]:
        """Lines that a ledger lost, to be offered again."""

    @property
    def broken(self) -> bool:
        """Whether lines are queued that do not fit the chain."""

    def pending(self) -> list[Event]:
        """The queue, in order."""

    def pushed(self, oid: Oid) -> bool:
        """Whether this node wrote that outbox commit."""


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
    stuck: dict[str, tuple[int, float]] = field(default_factory=dict)  # node → first pending seq, since
    own_seen: Oid | None = None  # our outbox as the last fetch showed it, or as accepted since
    rotation: int = 0

    @property
    def heads(self) -> Mapping[str, Head]:
        return self.branch.fleet.heads

    def beats(self) -> list[Event]:
        """The newest beats in all outboxes, signatures checked against the members' keys."""
        return [beat for box in self.outboxes.values() for beat in box.beats]


@dataclass(slots=True)
class Report:
    """What a round achieved for this node's chain."""

    sequenced: Head = Head()
    durable: Head = Head()
    races_lost: int = 0
    ledger: Pushed | None = None
    outbox: Pushed | None = None
    elected: Session | None = None
    waiting: bool = False  # something is due but the push budget is spent


@dataclass(slots=True)
class _Plan:
    updates: list[Update]
    commit: Oid | None = None  # of the ledger
    image: Oid | None = None  # of the outbox
    pending: list[Event] = field(default_factory=list)
    stander: Session | None = None


def sync(
    me: Replica, disk: Disk, crew: Crew, *, may_push: Callable[[bool], bool] = lambda urgent: True, tick: bool = True
) -> Generator[Effect, Any, Report]:
    """One round. `may_push(urgent)` asks the budget; `tick`: the leader's duties are due."""
    report = Report()
    while True:
        refs: dict[str, Oid] = yield Fetch()
        yield from _follow_ledger(me, disk, refs)
        yield from _know_oneself(me, disk, crew, refs)
        yield from _settle_queue(me, disk)
        now_s = me.clock.monotonic_s()
        crew.observe(me.branch.fleet, me.beats(), now_s, trusted=me.own_seen == refs.get(_own_ref(me, disk)))
        me.own_seen = refs.get(_own_ref(me, disk))
        if tick and crew.leading(me.branch.fleet.terms):
            yield from _duties(me, disk, crew)
        report.sequenced = me.heads.get(disk.node, Head())
        report.durable = me.durable
        plan = yield from _plan(me, disk, crew, now_s)
        if plan is None:
            return report
        if not may_push(plan.stander is not None):
            report.waiting = True
            return report
        answers: dict[str, Pushed] = yield Push(tuple(plan.updates))
        again = yield from _conclude(me, disk, crew, plan, answers, report, now_s)
        if not again:
            return report
        report.races_lost += 1
        if report.races_lost >= limits.ROUND_RACES_MAX:
            raise Lost(f"{report.races_lost} races for the ledger lost in a row: the events stay queued, sync again")
        if crew.leading(me.branch.fleet.terms) is None:
            yield Wait(report.races_lost)


def _own_ref(me: Replica, disk: Disk) -> str:
    return me.outbox_prefix + disk.node


# Reading


def _follow_ledger(me: Replica, disk: Disk, refs: dict[str, Oid]) -> Steps:
    """Fold what is new. A tip that does not descend from the last one seen is never followed silently."""
    tip, seen = refs.get(me.ledger_ref), disk.tip
    if seen is not None and tip != seen and not (tip and me.objects.is_ancestor(seen, tip)):
        if tip is None or me.objects.is_ancestor(tip, seen):
            tip = yield from _push_back(me, disk, refs, seen)
        else:
            yield from _part(me, disk, seen, tip)
    if tip is None or tip == me.branch.tip:
        return
    before = len(me.branch.bad)
    absorb(me, tip)
    if disk.tip is None or me.branch.tip != disk.tip:
        yield SaveTip(tip, max(disk.term, me.branch.fleet.terms.highest))
    for bad in me.branch.bad[before:]:
        yield Tell("bad_line", f"{bad.where}: {bad.reason}")


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


def _push_back(me: Replica, disk: Disk, refs: dict[str, Oid], seen: Oid) -> Generator[Effect, Any, Oid | None]:
    """The remote was set back to an older ledger: give it ours, which is a fast-forward."""
    old = refs.get(me.ledger_ref)
    yield Tell("rollback", f"the remote's ledger was set back to {(old or 'nothing')[:12]}; restoring {seen[:12]}")
    answers = yield Push((Update(me.ledger_ref, old, seen),))
    answer = answers[me.ledger_ref]
    if answer.outcome is Outcome.ACCEPTED:
        refs[me.ledger_ref] = seen
        return seen
    if answer.outcome is Outcome.DENIED:
        raise Denied(f"the ledger was set back, and the remote refuses to have it restored: {answer.reason}")
    raise Unreachable(f"the ledger was set back; restoring it failed: {answer.reason or answer.outcome.value}")


def _part(me: Replica, disk: Disk, seen: Oid, tip: Oid) -> Steps:
    """The remote's ledger has parted from ours: go on from it, and offer again every line that vanished."""
    mine = me.branch
    if mine.tip != seen:
        absorb(me, seen)
        mine = me.branch
    read = mine.line_at()
    ours = [read(position) for position in range(1, mine.fleet.position + 1)]
    me.objects.keep(f"forks/{seen[:12]}", seen)
    me.branch = me.fresh()
    absorb(me, tip)
    if mine.fleet.id != me.branch.fleet.id:
        theirs_id, me.branch = me.branch.fleet.id, mine
        raise Corrupt(
            f"the remote's ledger was replaced by that of fleet {theirs_id}; this clone belongs to {mine.fleet.id}: "
            "restore the remote, or run `gitcoord leave` and `gitcoord init`"
        )
    read = me.branch.line_at()
    kept = {read(position) for position in range(1, me.branch.fleet.position + 1)}
    lost = tuple(line for line in ours if line not in kept and b'"seq":' in line)
    yield Carry(tuple(disk.carried) + lost)
    yield SaveTip(tip, max(disk.term, mine.fleet.terms.highest, me.branch.fleet.terms.highest))
    yield Tell(
        "fork", f"the remote's ledger parted from the one seen before ({seen[:12]}, kept here as forks/{seen[:12]}): "
        f"{len(lost)} events that vanished are offered again"
    )


def _know_oneself(me: Replica, disk: Disk, crew: Crew, refs: Mapping[str, Oid]) -> Steps:
    """Read the outboxes; an outbox of ours that we did not write means that this clone was copied."""
    boxes = {}
    for ref, oid in refs.items():
        if ref.startswith(me.outbox_prefix):
            node = ref[len(me.outbox_prefix):]
            old = me.outboxes.get(node)
            boxes[node] = old if old is not None and old.oid == oid else _checked(me, outbox.read(me.objects, oid))
    me.outboxes = boxes
    mine = boxes.get(disk.node)
    if mine is not None and not disk.pushed(mine.oid):
        crew.node = yield BecomeNewNode(f"another clone writes as {disk.node}: identity shared (a copied clone?)")
        me.durable, me.own_seen = Head(), None
        return
    if mine is None:
        me.durable = Head()
        return
    yield from _merge_own(me, disk, mine)


def _checked(me: Replica, box: Outbox) -> Outbox:
    """Without the beats whose signatures are not their agents'."""
    fleet = me.branch.fleet
    good = []
    for beat in box.beats:
        member = fleet.members.get(beat.actor)
        if member is not None and member.key == beat.key:
            if fleet.verifier is None or fleet.verifier.rejects(beat, fleet.id or "") is None:
                good.append(beat)
    return Outbox(box.oid, box.lines, box.carried, tuple(good))


def _merge_own(me: Replica, disk: Disk, mine: Outbox) -> Steps:
    """Take from our own outbox what a restored disk lacks, and see how much of the queue is durable."""
    pending = disk.pending()
    head = pending[-1].head if pending else disk.base
    lacking, durable = [], Head()
    for event in _parsed(mine.lines):
        durable = event.head
        if event.node == disk.node and event.seq == head.seq + 1 and event.prev == head.hash:
            lacking.append(event)
            head = event.head
    ledger = me.heads.get(disk.node, Head())
    if lacking and lacking[-1].head.seq > ledger.seq:
        yield Adopt(tuple(lacking))
    me.durable = durable


def _settle_queue(me: Replica, disk: Disk) -> Steps:
    """Trim what the ledger holds, line for line; where it holds another line in its place, chain anew."""
    ledger, base, pending = me.heads.get(disk.node, Head()), disk.base, disk.pending()
    if disk.broken:
        yield ChainAnew(ledger, frozenset(me.branch.fleet.positions))
        me.durable = Head()
    elif ledger == base:
        pass
    elif any(event.head == ledger for event in pending):
        yield Trim(ledger)
    elif ledger.seq >= base.seq or not _continued(me, disk, ledger):
        yield ChainAnew(ledger, frozenset(e.uid for e in pending if e.uid in me.branch.fleet.positions))
        me.durable = Head()
    if disk.carried:
        rest = tuple(line for line in disk.carried if not _sequenced(me, line))
        if len(rest) < len(disk.carried):
            yield Carry(rest)


def _continued(me: Replica, disk: Disk, head: Head) -> bool:
    """Whether anyone still offers the line after `head` of our own chain."""
    offered = [*disk.carried, *(line for box in me.outboxes.values() for line in (*box.lines, *box.carried))]
    return any(e.node == disk.node and e.seq == head.seq + 1 and e.prev == head.hash for e in _parsed(offered))


def _sequenced(me: Replica, line: bytes) -> bool:
    events = _parsed([line])
    return not events or (events[0].seq or 0) <= me.heads.get(events[0].node, Head()).seq


def _parsed(lines: Sequence[bytes]) -> list[Event]:
    from gitcoord.core.event import Malformed, parse

    events = []
    for line in lines:
        try:
            events.append(parse(line))
        except Malformed:
            continue
    return events


# Writing


def _duties(me: Replica, disk: Disk, crew: Crew) -> Steps:
    """What the leader alone appends; a duty that is pending already is not appended again."""
    fleet = me.branch.fleet
    lead = crew.leading(fleet.terms)
    if lead is None or lead.leaving or not lead.claims:
        return
    waiting = {event.data.get("duty") for event in disk.pending()}
    duties = fleet.duties(me.clock.timestamp()) + [
        Duty("error", f"{bad.where}: {bad.reason}", f"bad:{hash_of(bad.line)[:16]}") for bad in me.branch.bad
    ]
    drafts = tuple(
        draft_of(duty, actor=lead.agent, term=fleet.terms.term, timestamp=me.clock.timestamp(),
                 uid=uid_from(me.chance.randbytes(10)))
        for duty in {duty.key: duty for duty in duties}.values()
        if duty.key not in waiting and duty.key not in fleet.done
    )
    if drafts:
        yield Append(drafts)


def _plan(me: Replica, disk: Disk, crew: Crew, now_s: float) -> Generator[Effect, Any, _Plan | None]:
    """What to push, as commits that are ready; None when there is nothing to say."""
    fleet = me.branch.fleet
    pending = _unblocked(me, disk.pending())
    batch, own = _admit(me, disk, pending)
    standing = crew.stands(fleet, now_s) if now_s >= me.quiet_until_s else None
    lead = crew.leading(fleet.terms)
    files = me.publish(me.branch) if lead is not None and lead.claims else {}
    turn = standing or own or (lead and lead.claims and (batch or files)) or _overdue(me, crew, batch, now_s)
    if me.branch.damaged and lead is not None:
        turn = True
    lines = list(batch)
    if standing:
        term = max(fleet.terms.highest, disk.term) + 1
        uid = uid_from(me.chance.randbytes(10))
        lines.insert(0, crew.election(fleet, *standing, term=term, timestamp=me.clock.timestamp(), uid=uid))
    write_ledger = bool(turn) and now_s >= me.quiet_until_s and fleet.id is not None
    beat = crew.beat_due(fleet, now_s)
    news = bool(pending) and pending[-1].head != me.durable
    if not (write_ledger or beat or news):
        return None
    plan = _Plan([], pending=pending, stander=standing[0] if standing and write_ledger else None)
    fresh = beat or (write_ledger and lead is not None)
    yield from _add_outbox(me, disk, crew, plan, now_s, fresh=fresh)
    if write_ledger:
        author = _author(crew, standing, lead, own, disk)
        plan.commit = _ledger_commit(me, lines, files, author, disk.node)
        plan.updates.append(Update(me.ledger_ref, me.branch.tip, plan.commit))
    return plan


def _unblocked(me: Replica, pending: list[Event]) -> list[Event]:
    for place, event in enumerate(pending):
        if event.uid == me.blocked:
            return pending[:place]
    me.blocked = None
    return pending


def _admit(me: Replica, disk: Disk, pending: Sequence[Event]) -> tuple[list[bytes], bool]:
    """The next lines of every node that may be sequenced, and whether our own are among them."""
    fleet = me.branch.fleet
    heads = dict(fleet.heads)
    batch: list[bytes] = []
    own = False
    for event in pending:
        if len(batch) < limits.BATCH_EVENTS_MAX and event.seq == heads.get(disk.node, Head()).seq + 1:
            if event.prev == heads.get(disk.node, Head()).hash and fleet.id is not None:
                batch.append(event.line)  # our own: no need to check what we signed
                heads[disk.node] = event.head
                own = True
    nodes = sorted(me.outboxes)
    me.rotation += 1
    turn = me.rotation % len(nodes) if nodes else 0
    offers = [line for node in nodes[turn:] + nodes[:turn] if node != disk.node for line in me.outboxes[node].lines]
    offers += [line for node in nodes for line in me.outboxes[node].carried]
    for line in [*offers, *disk.carried]:
        if len(batch) >= limits.BATCH_EVENTS_MAX:
            break
        try:
            event = fleet.admissible(line, heads=heads)
        except Inadmissible:
            continue
        if event.seq is not None:
            heads[event.node] = event.head
            batch.append(line)
    return batch, own


def _overdue(me: Replica, crew: Crew, batch: Sequence[bytes], now_s: float) -> bool:
    """Whether others' events have lain unsequenced for two ticks: then anyone helps."""
    stuck = {}
    for event in _parsed(batch):
        if event.node not in stuck:
            before = me.stuck.get(event.node)
            since = before[1] if before is not None and before[0] == event.seq else now_s
            stuck[event.node] = (event.seq or 0, since)
    me.stuck = stuck
    return any(now_s - since >= 2 * crew.profile.poll_s for _, since in stuck.values())


def _author(crew: Crew, standing: tuple[Session, str] | None, lead: Session | None, own: bool, disk: Disk) -> str:
    if standing:
        return standing[0].agent
    if lead is not None:
        return lead.agent
    pending = disk.pending() if own else []
    return pending[-1].actor if pending else disk.node


def _add_outbox(me: Replica, disk: Disk, crew: Crew, plan: _Plan, now_s: float, *, fresh: bool) -> Steps:
    oid = outbox.write(
        me.objects, node=disk.node, pending=plan.pending, carried=disk.carried,
        beats=crew.beats(me.branch.fleet, now_s, timestamp=me.clock.timestamp(), fresh=fresh),
        nonce=uid_from(me.chance.randbytes(10)), time_s=me.clock.epoch_s(),
        parent=me.own_seen if me.parented_outbox else None,
    )
    yield NoteOutbox(oid)  # durable BEFORE it is pushed: else we would not know it for ours
    plan.image = oid
    plan.updates.append(Update(_own_ref(me, disk), me.own_seen, oid))


def _ledger_commit(
    me: Replica, lines: Sequence[bytes], files: Mapping[str, bytes | None], author: str, node: str
) -> Oid:
    log = me.branch.extend(lines)
    tree = me.branch.write(log, files)
    message = _message(me, lines, files, node)
    parents = [me.branch.tip] if me.branch.tip else []
    return me.objects.put_commit(
        tree=tree, parents=parents, message=message, author=author, time_s=me.clock.epoch_s()
    )


def _message(me: Replica, lines: Sequence[bytes], files: Mapping[str, bytes | None], node: str) -> str:
    """Subject and trailers of a ledger commit. Forges act on @ and #12 in subjects: neutralised."""
    fleet = me.branch.fleet
    events = _parsed(lines)
    if len(events) == 1:
        subject = f"{events[0].actor}: {events[0].type}"
    elif events:
        actors = sorted({event.actor for event in events})
        shown = ", ".join(actors[:5]) + (f" and {len(actors) - 5} more" if len(actors) > 5 else "")
        subject = f"{len(events)} events from {shown}"
    else:
        subject = "snapshot" if files else "repair"
    return (
        f"{subject} [skip ci]\n\nPosition: {fleet.position + len(lines)}\nTerm: {fleet.terms.term}\n"
        f"Sequenced-by: {node}\nNonce: {uid_from(me.chance.randbytes(10))}\n"
    )


def _conclude(
    me: Replica, disk: Disk, crew: Crew, plan: _Plan, answers: Mapping[str, Pushed], report: Report, started_s: float
) -> Generator[Effect, Any, bool]:
    """Believe what the remote accepted; True when the round should begin again."""
    unsent = Pushed(Outcome.UNKNOWN)
    report.outbox = answers.get(_own_ref(me, disk), unsent) if plan.image else None
    report.ledger = answers.get(me.ledger_ref, unsent) if plan.commit else None
    _raise_if_hopeless(report)
    if report.outbox is not None and report.outbox.outcome is Outcome.ACCEPTED:
        me.own_seen = plan.image
        me.durable = report.durable = plan.pending[-1].head if plan.pending else me.durable
    if report.ledger is not None and report.ledger.outcome is Outcome.ACCEPTED and plan.commit is not None:
        me.branch.absorb(plan.commit)
        yield SaveTip(plan.commit, max(disk.term, me.branch.fleet.terms.highest))
        report.sequenced = me.heads.get(disk.node, Head())
        if plan.stander is not None and crew.leading(me.branch.fleet.terms) is plan.stander:
            report.elected = plan.stander
        if report.outbox is not None and report.outbox.outcome is Outcome.ACCEPTED:
            # V counts from the START of the push: nobody can have replaced us before T after it.
            crew.act_until_s = started_s + crew.profile.act_s
        return report.outbox is not None and report.outbox.outcome is Outcome.STALE
    if report.ledger is not None and report.ledger.outcome is Outcome.DENIED:
        me.quiet_until_s = me.clock.monotonic_s() + QUIET_S
        lead = crew.leading(me.branch.fleet.terms)
        if lead is not None:
            lead.claims = False
        yield Tell("ledger_denied", f"the remote refuses writes to the ledger: {report.ledger.reason}")
    if report.outbox is not None and report.outbox.outcome is Outcome.DENIED:
        yield from _outbox_alone(me, disk, crew, plan, report, started_s)
        return False
    outcomes = {answer.outcome for answer in (report.outbox, report.ledger) if answer is not None}
    return bool(outcomes & {Outcome.STALE, Outcome.UNKNOWN})


def _raise_if_hopeless(report: Report) -> None:
    for answer in (report.ledger, report.outbox):
        if answer is not None and answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer is not None and answer.outcome is Outcome.UNREACHABLE:
            raise Unreachable(answer.reason or "the remote did not answer")


def _outbox_alone(me: Replica, disk: Disk, crew: Crew, plan: _Plan, report: Report, now_s: float) -> Steps:
    """A hook denied the push. Try without the ledger; then with fewer events, to name the one that it minds."""

    def offer(count: int) -> Generator[Effect, Any, Pushed]:
        part = _Plan([], pending=plan.pending[:count])
        yield from _add_outbox(me, disk, crew, part, now_s, fresh=False)
        answers = yield Push(tuple(part.updates))
        answer: Pushed = answers.get(_own_ref(me, disk), Pushed(Outcome.UNKNOWN))
        if answer.outcome is Outcome.ACCEPTED:
            me.own_seen = part.image
            me.durable = report.durable = part.pending[-1].head if part.pending else Head()
        report.outbox = answer
        return answer

    passes, fails = 0, len(plan.pending)
    answer = yield from offer(fails)
    if answer.outcome is not Outcome.DENIED:
        return
    words = answer.reason
    if fails == 0 or (yield from offer(0)).outcome is Outcome.DENIED:
        raise Denied(f"the remote refuses everything that this node writes: {words}")
    while fails - passes > 1:
        middle = (passes + fails) // 2
        answer = yield from offer(middle)
        if answer.outcome not in (Outcome.DENIED, Outcome.ACCEPTED):
            return
        passes, fails = (passes, middle) if answer.outcome is Outcome.DENIED else (middle, fails)
    event = plan.pending[fails - 1]
    me.blocked = event.uid
    yield Tell("event_denied", f"the remote refuses event {event.uid[:8]} by {event.actor} ({words}): "
               f"`gitcoord queue drop {event.uid[:8]}` removes it; what comes after it waits")
