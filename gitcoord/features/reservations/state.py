"""Reservations in force: who has which paths until when, and whether a new one fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, Field

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import NAMED, Payload, Uid, Words
from gitcoord.core.fold import quotas
from gitcoord.core.fold.authority import ADMIN, LEADER, MEMBER, OWNER, Asked, Persons, Resolver, Who, Whose, owned
from gitcoord.core.fold.membership import AgentLeft, stripped
from gitcoord.core.format.event import Event
from gitcoord.core.names import same_agent
from gitcoord.features import paths
from gitcoord.features.overlaps import Index, TooMuch, wild_characters
from gitcoord.features.reservations import endings
from gitcoord.features.tasks.events import Branch
from gitcoord.features.typed import Pattern

HOLD_S = 2 * 3600.0  # default: long enough for a change, and a forgotten reservation ends on the same day
HOLD_S_MAX = 7 * 86_400.0
PATTERNS_MAX = 50  # per reservation
HELD_MAX = 2000  # reservations of a fleet at a time
PATTERNS_HELD_MAX = 5000  # by all agents together

Place = Annotated[str, Field(max_length=200), NAMED]

PatternGiven = Annotated[str, Field(max_length=paths.PATTERN_CHARS_MAX)]


class PathsReserved(Payload):
    """The author works on these paths for `for_s` seconds, in the work tree `place` of its node.

    At most until its `task` or its `branch` is over.
    """

    paths: list[Pattern] = Field(min_length=1, max_length=PATTERNS_MAX)
    for_s: float = Field(gt=0, le=HOLD_S_MAX)
    place: Place = ""
    why: Words = ""
    task: Uid | None = None
    branch: Branch = ""


class PathsReleased(Payload):
    """The reservation that the event's `re` names is over: released, or ended by the leader when its time was over."""


EVENTS: Mapping[str, type[BaseModel]] = {"paths_reserved": PathsReserved, "paths_released": PathsReleased}
AUTHORITY: Mapping[str, Who] = {"paths_reserved": MEMBER, "paths_released": OWNER | ADMIN | LEADER}


@dataclass(slots=True)
class Reservation:
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
    task: str = ""
    branch: str = ""

    @property
    def party(self) -> tuple[str, str, str]:
        return (self.agent, self.node, self.place)


@dataclass(slots=True)
class Holdings:
    """How much one author has reserved."""

    reservations: int = 0
    patterns: int = 0
    wild: int = 0  # characters of patterns that are not literal

    def add(self, one: Reservation, sign: int) -> None:
        self.reservations += sign
        self.patterns += sign * len(one.paths)
        self.wild += sign * wild_characters(one.paths)


@dataclass
class State:
    """The reservations in force by id, oldest first. `index` and `counts` follow from them."""

    held: dict[str, Reservation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = Index()
        self.counts: dict[str, Holdings] = {}
        for one in self.held.values():
            self._note(one)

    def put(self, one: Reservation) -> None:
        self.held[one.id] = one
        self._note(one)

    def drop(self, uid: str) -> None:
        one = self.held.pop(uid)
        self.index.remove(uid, one.paths)
        count = self.counts[one.agent]
        count.add(one, -1)
        if not count.reservations:
            del self.counts[one.agent]

    def _note(self, one: Reservation) -> None:
        self.index.add(one.id, one.paths)
        self.counts.setdefault(one.agent, Holdings()).add(one, 1)

    def full(self, new: Reservation) -> str | None:
        """Return why `new` exceeds a limit; None if it does not."""
        if len(self.held) >= HELD_MAX or sum(one.patterns for one in self.counts.values()) >= PATTERNS_HELD_MAX:
            return f"{len(self.held)} reservations are in force already: release some"
        own = self.counts.get(new.agent)
        if own is None:
            return None
        fix = "release some (`gitcoord reservations` lists them)"
        if own.reservations >= quotas.RESERVATIONS_HELD:
            return quotas.full(new.agent, "reservations in force", quotas.RESERVATIONS_HELD, fix)
        if own.patterns + len(new.paths) > quotas.PATTERNS_HELD:
            return quotas.full(new.agent, "patterns of paths in force", quotas.PATTERNS_HELD, fix)
        if own.wild + wild_characters(new.paths) > quotas.WILD_CHARACTERS_HELD:
            return quotas.full(
                new.agent,
                "characters of patterns with wildcards in force",
                quotas.WILD_CHARACTERS_HELD,
                f"name folders instead, or {fix}",
            )
        return None


def _holder(state: State, asked: Asked, persons: Persons) -> Whose | None:
    one = state.held.get(asked.re or "")
    return owned(one.agent, "whose reservation it is") if one is not None else None


WHOSE: Mapping[str, Resolver] = {"paths_released": _holder}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None:
        return None
    event = sequenced.event
    gone = event.actor if isinstance(sequenced.payload, AgentLeft) else stripped(sequenced.payload)
    if gone is not None:
        _drop_all(state, gone)
    elif event.type in endings.ENDS_TASK and event.re is not None:
        _drop_all(state, event.actor, event.re)
    if event.type not in EVENTS:
        return None
    match sequenced.payload:
        case PathsReserved() as reserved:
            return _reserve(state, sequenced, reserved)
        case PathsReleased():
            return _release(state, sequenced.event)
    return None


def _drop_all(state: State, agent: str, task: str | None = None) -> None:
    """End the reservations of an agent: all of them, or those that belong to a task."""
    for one in [*state.held.values()]:
        if same_agent(one.agent, agent) and task in (None, one.task):
            state.drop(one.id)


def _reserve(state: State, sequenced: SequencedEvent, reserved: PathsReserved) -> str | None:
    event = sequenced.event
    for one in [one for one in state.held.values() if one.until <= sequenced.now]:
        state.drop(one.id)
    new = Reservation(
        event.uid,
        event.actor,
        event.node,
        reserved.place,
        reserved.paths,
        event.timestamp,
        times.later(event.timestamp, reserved.for_s),
        reserved.why,
        sequenced.position,
        reserved.task or "",
        reserved.branch,
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
        return "this reservation is over already"
    state.drop(one.id)
    return None


def overlapping(state: State, party: tuple[str, str, str], wanted: Sequence[str]) -> Iterator[Reservation]:
    """Return the reservations of other parties that have a path in common with `wanted`, the oldest first.

    Raise TooMuch.
    """
    found = state.index.owners(wanted, lambda uid: state.held[uid].party != party)
    return (one for uid, one in state.held.items() if uid in found)


def is_over(one: Reservation, ctx: Context) -> bool:
    """Return whether its time or its task is over, as far as this node can tell: the ledger's state may lag behind."""
    span_s = times.between_s(one.since, one.until)
    passed = one.until <= ctx.fleet.time.now or ctx.age_s(one.since, one.position) >= span_s
    return passed or bool(endings.of_task(one, ctx.state("tasks")))


def in_force(ctx: Context) -> Iterator[Reservation]:
    """Yield the reservations that are not over, the oldest first."""
    held: Mapping[str, Reservation] = ctx.state("reservations").held
    return (one for one in held.values() if not is_over(one, ctx))


def describe(one: Reservation) -> str:
    why = f" ({one.why})" if one.why else ""
    return f"{one.agent} has {', '.join(one.paths[:3])} until {times.shown(one.until)}{why}"
