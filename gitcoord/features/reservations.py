"""Reservations: a party asks the others to keep out of some paths for a while; whoever is first in the ledger has them.

A reservation ends when ledger time says so, or when the leader has seen its span pass: the clock of nobody who wants
the paths counts. They are advice: nothing stops a commit but the hook that a clone has chosen to run. A party is an
agent in a work tree, so that two work trees of one clone are two parties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gitcoord.core import times, values
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fields import NAMED, Given, Payload, Span, Words
from gitcoord.core.fold import quotas
from gitcoord.core.fold.authority import ADMIN, LEADER, MEMBER, OWNER, Asked, Persons, Resolver, Who, Whose, owned
from gitcoord.core.fold.membership import stripped
from gitcoord.core.format.event import Event
from gitcoord.core.lookup import find
from gitcoord.core.names import same_agent
from gitcoord.features import paths
from gitcoord.features.overlaps import Index, TooMuch, wild_characters
from gitcoord.features.paths import Pattern
from gitcoord.features.typed import AgentGiven, Chosen

HOLD_S = 2 * 3600.0  # unless asked for otherwise: a long morning, and no longer than a forgotten one hurts
HOLD_S_MAX = 7 * 86_400.0
PATTERNS_MAX = 50  # per reservation
GRACE_S = 60.0  # before the leader ends what ledger time does not: mostly that follows as soon as somebody writes
HELD_MAX = 2000  # in a fleet at a time
PATTERNS_HELD_MAX = 5000  # by all agents together

Place = Annotated[str, Field(max_length=200), NAMED]

PatternGiven = Annotated[str, Field(max_length=paths.PATTERN_CHARS_MAX)]


class PathsReserved(Payload):
    """The author, in the work tree `place` of its node, works on these paths for so long."""

    paths: list[Pattern] = Field(min_length=1, max_length=PATTERNS_MAX)
    for_s: float = Field(gt=0, le=HOLD_S_MAX)
    place: Place = ""
    why: Words = ""


class PathsReleased(Payload):
    """The reservation that the event's `re` names is over: given back, or by the leader, when its time was up."""


EVENTS: Mapping[str, type[BaseModel]] = {"paths_reserved": PathsReserved, "paths_released": PathsReleased}
AUTHORITY: Mapping[str, Who] = {"paths_reserved": MEMBER, "paths_released": OWNER | ADMIN | LEADER}


@dataclass(slots=True)
class Held:
    """A reservation in force."""

    id: str
    agent: str
    node: str
    place: str
    paths: list[str]
    since: str
    until: str
    why: str
    position: int = 0

    @property
    def party(self) -> tuple[str, str, str]:
        return (self.agent, self.node, self.place)


@dataclass(slots=True)
class Count:
    """The number of things that one author holds."""

    reservations: int = 0
    patterns: int = 0
    wild: int = 0  # characters of patterns that are not literal

    def add(self, one: Held, sign: int) -> None:
        self.reservations += sign
        self.patterns += sign * len(one.paths)
        self.wild += sign * wild_characters(one.paths)


@dataclass
class State:
    """Those in force by id, oldest first; `index` and `counts` follow from them."""

    held: dict[str, Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = Index()
        self.counts: dict[str, Count] = {}
        for one in self.held.values():
            self._note(one)

    def put(self, one: Held) -> None:
        self.held[one.id] = one
        self._note(one)

    def drop(self, uid: str) -> None:
        one = self.held.pop(uid)
        self.index.remove(uid, one.paths)
        count = self.counts[one.agent]
        count.add(one, -1)
        if not count.reservations:
            del self.counts[one.agent]

    def _note(self, one: Held) -> None:
        self.index.add(one.id, one.paths)
        self.counts.setdefault(one.agent, Count()).add(one, 1)

    def full(self, new: Held) -> str | None:
        """Return why `new` is one too many; None when it is not."""
        if len(self.held) >= HELD_MAX or sum(one.patterns for one in self.counts.values()) >= PATTERNS_HELD_MAX:
            return f"{len(self.held)} reservations are in force already: release some"
        mine = self.counts.get(new.agent)
        if mine is None:
            return None
        cure = "release some (`gitcoord reservations` shows them)"
        if mine.reservations >= quotas.RESERVATIONS_HELD:
            return quotas.full(new.agent, "reservations in force", quotas.RESERVATIONS_HELD, cure)
        if mine.patterns + len(new.paths) > quotas.PATTERNS_HELD:
            return quotas.full(new.agent, "patterns of paths in force", quotas.PATTERNS_HELD, cure)
        if mine.wild + wild_characters(new.paths) > quotas.WILD_CHARACTERS_HELD:
            return quotas.full(
                new.agent,
                "characters of patterns with wildcards in force",
                quotas.WILD_CHARACTERS_HELD,
                f"name folders instead, or {cure}",
            )
        return None


def _holder(state: State, asked: Asked, persons: Persons) -> Whose | None:
    one = state.held.get(asked.re or "")
    return owned(one.agent, "whose reservation it is") if one is not None else None


WHOSE: Mapping[str, Resolver] = {"paths_released": _holder}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    gone = stripped(sequenced.payload)
    if sequenced.void is None and gone is not None:
        for uid in [one.id for one in state.held.values() if same_agent(one.agent, gone)]:
            state.drop(uid)
    if sequenced.void is not None or sequenced.event.type not in EVENTS:
        return None
    match sequenced.payload:
        case PathsReserved() as wish:
            return _reserve(state, sequenced, wish)
        case PathsReleased():
            return _release(state, sequenced.event)
    return None


def _reserve(state: State, sequenced: SequencedEvent, wish: PathsReserved) -> str | None:
    event = sequenced.event
    for one in [one for one in state.held.values() if one.until <= sequenced.now]:
        state.drop(one.id)
    new = Held(
        event.uid,
        event.actor,
        event.node,
        wish.place,
        wish.paths,
        event.timestamp,
        times.later(event.timestamp, wish.for_s),
        wish.why,
        sequenced.position,
    )
    try:
        other = next(overlapping(state, new.party, new.paths), None)
    except TooMuch as wrong:
        return str(wrong)
    if other is not None:
        return describe(other)
    reason = state.full(new)
    if reason is None:
        state.put(new)
    return reason


def _release(state: State, event: Event) -> str | None:
    one = state.held.get(event.re or "")
    if one is None:
        return "it is over already"
    state.drop(one.id)
    return None


def overlapping(state: State, party: tuple[str, str, str], wanted: Sequence[str]) -> Iterator[Held]:
    """Return the reservations of somebody else that have a path in common with `wanted`, the oldest first.

    Raises TooMuch.
    """
    found = state.index.owners(wanted, lambda uid: state.held[uid].party != party)
    return (one for uid, one in state.held.items() if uid in found)


def is_over(one: Held, ctx: Context) -> bool:
    """Return whether its time is up, as far as this node can tell. What the ledger takes it for may lag behind."""
    span_s = times.between_s(one.since, one.until)
    return one.until <= ctx.fleet.time.now or ctx.age_s(one.since, one.position) >= span_s


def in_force(ctx: Context) -> Iterator[Held]:
    """Yield the reservations whose time is not up, the oldest first."""
    held: Mapping[str, Held] = ctx.state("reservations").held
    return (one for one in held.values() if not is_over(one, ctx))


def describe(one: Held) -> str:
    why = f" ({one.why})" if one.why else ""
    return f"{one.agent} has {', '.join(one.paths[:3])} until {times.shown(one.until)}{why}"


# Commands


class Reserve(Arguments):
    paths: list[PatternGiven] = Field(
        description="Paths from the top of the repository; *, ** and ? as in .gitignore",
        min_length=1,
        max_length=PATTERNS_MAX,
    )
    for_s: Span = Field(HOLD_S, alias="for", le=HOLD_S_MAX, description="How long: 90s, 15m, 2h, 3d")
    why: Words = Field("", description="The reason, shown to other agents")


class Release(Arguments):
    ids: Chosen = Field([], description="Reservation ids (default: all of this work tree)")


class Reservations(Arguments):
    id: Given | None = Field(None, description="Show all details of this one")
    path: PatternGiven | None = Field(None, description="Only reservations that contain this path")
    agent: AgentGiven | None = Field(None, description="Only this agent's reservations")


def reserve(ctx: Context, args: Reserve) -> list[NewEvent]:
    for pattern in args.paths:
        paths.check(pattern)
    party = (ctx.actor, ctx.node, ctx.place)
    for other in overlapping(ctx.state("reservations"), party, args.paths):
        if not is_over(other, ctx):
            raise Lost(describe(other))
        if other.until > ctx.fleet.time.now:
            raise Lost(
                f"{describe(other)}: that time is up, but the ledger does not know it yet. It will when "
                f"{other.agent} or another member writes; a leader (`gitcoord agent run`) or an admin can end "
                f"it now: `gitcoord release {other.id[:8]}`"
            )
    data = {"paths": args.paths, "for_s": args.for_s, "place": ctx.place, "why": args.why}
    return [NewEvent("paths_reserved", f"{ctx.actor} reserves {', '.join(args.paths)}", data)]


def release(ctx: Context, args: Release) -> list[NewEvent]:
    held = ctx.state("reservations").held
    if args.ids:
        chosen = [held[find(ctx, held, text, "reservation", shown_by="reservations")] for text in args.ids]
    else:
        chosen = [one for one in held.values() if one.party == (ctx.actor, ctx.node, ctx.place)]
    if not chosen:
        raise Refused("nothing is reserved from here: `gitcoord reservations` lists all reservations")
    return [NewEvent("paths_released", f"{ctx.actor} releases {', '.join(one.paths)}", re=one.id) for one in chosen]


def reservations(ctx: Context, args: Reservations) -> list[dict[str, Any]] | dict[str, Any]:
    held = {one.id: one for one in in_force(ctx)}
    if args.id is not None:
        one = held[find(ctx, held, args.id, "reservation", shown_by="reservations")]
        return {**to_row(one), "position": ctx.fleet.positions.get(one.id)}
    among = ctx.state("reservations").index.owners([args.path]) if args.path is not None else held
    return [
        to_row(one)
        for one in held.values()
        if (args.agent is None or one.agent.casefold() == args.agent.casefold()) and one.id in among
    ]


def to_row(one: Held) -> dict[str, Any]:
    return {
        "id": one.id,
        "agent": one.agent,
        "node": one.node,
        "place": one.place,
        "paths": one.paths,
        "since": one.since,
        "until": one.until,
        "why": one.why,
    }


def _answer(ctx: Context, uid: str) -> dict[str, Any]:
    return {"reservation": to_row(ctx.state("reservations").held[uid])}


COMMANDS: Mapping[str, Command | Query] = {
    "reserve": Command(
        help="Reserve paths, to keep other agents out of them",
        example="gitcoord reserve 'src/auth/**' --for 2h --why 'new login'",
        arguments=Reserve,
        decide=reserve,
        positional=("paths",),
        answer=_answer,
        urgent=True,
        tool="path_reserve",
    ),
    "release": Command(
        help="Give reserved paths back",
        example="gitcoord release",
        before=("gitcoord reserve README.md",),
        arguments=Release,
        decide=release,
        positional=("ids",),
        idempotent=True,
        tool="path_reserve",
    ),
    "reservations": Query(
        help="List reserved paths and their holders",
        example="gitcoord reservations --path src/auth/login.py",
        arguments=Reservations,
        ask=reservations,
        positional=("id",),
        columns=("id", "agent", "place", "paths", "until", "why"),
        tool="fleet_show",
    ),
}


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    """Yield the end of what this leader has seen last for its span, where ledger time does not say so by itself."""
    for one in state.held.values():
        span_s = times.between_s(one.since, one.until)
        if one.until > ctx.fleet.time.now and ctx.age_s(one.since, one.position) > span_s + GRACE_S:
            yield Duty(
                "paths_released",
                f"the time of {one.agent}'s reservation of {', '.join(one.paths[:3])} is up",
                f"reservation:{one.id}",
                re=one.id,
            )


def dump(state: State) -> Any:
    return values.dump(state)


def load(value: Any) -> State:
    return values.load(State, value)
