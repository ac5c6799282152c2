"""Reservations: a party asks the others to keep out of some paths for a while; whoever is first in the ledger has them.

They are advice: nothing stops a commit but the hook that a clone has chosen to run. A party is an agent in a work
tree, so that two work trees of one clone are two parties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gitcoord.core import times
from gitcoord.core.commands import Arguments, Command, Look, Proposal, Query
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.event import Event
from gitcoord.core.fleet import Duty, Recorded
from gitcoord.core.lookup import find
from gitcoord.features import paths, values

HOLD_S = 2 * 3600.0  # unless asked for otherwise: a long morning, and no longer than a forgotten one hurts
HOLD_S_MAX = 7 * 86_400.0
PATTERNS_MAX = 50  # of one reservation
HELD_MAX = 2000  # in a fleet at a time: an overlap is looked for among all of them

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class PathsReserved(BaseModel):
    """The author, in the work tree `place` of its node, works on these paths for so long."""

    model_config = ConfigDict(defer_build=True)

    paths: list[Pattern] = Field(min_length=1, max_length=PATTERNS_MAX)
    for_s: float = Field(gt=0, le=HOLD_S_MAX)
    place: str = Field("", max_length=200)
    why: str = Field("", max_length=500)


class PathsReleased(BaseModel):
    """The reservation that the event's `re` names is over."""

    model_config = ConfigDict(defer_build=True)


EVENTS: Mapping[str, type[BaseModel]] = {"paths_reserved": PathsReserved, "paths_released": PathsReleased}


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

    @property
    def party(self) -> tuple[str, str, str]:
        return (self.agent, self.node, self.place)


@dataclass(slots=True)
class State:
    """Those in force by id, oldest first."""

    held: dict[str, Held] = field(default_factory=dict)


def fold(state: State, recorded: Recorded) -> str | None:
    if recorded.void is not None or recorded.event.type not in EVENTS:
        return None
    match recorded.payload:
        case PathsReserved() as wish:
            return _reserve(state, recorded.event, wish)
        case PathsReleased():
            return _release(state, recorded.event)
    return None


def _reserve(state: State, event: Event, wish: PathsReserved) -> str | None:
    # Whose time is up is forgotten by the time of whoever asks: clocks differ, but a reservation is no lock.
    for one in [one for one in state.held.values() if one.until <= event.timestamp]:
        del state.held[one.id]
    new = Held(event.uid, event.actor, event.node, wish.place, wish.paths, event.timestamp,
               times.later(event.timestamp, wish.for_s), wish.why)
    other = overlapping(state, new.party, new.paths, event.timestamp)
    if other is not None:
        return in_words(other)
    if len(state.held) >= HELD_MAX:
        return f"{HELD_MAX} reservations are in force already: release some"
    state.held[new.id] = new
    return None


def _release(state: State, event: Event) -> str | None:
    one = state.held.get(event.re or "")
    if one is None:
        return "it is over already"
    del state.held[one.id]
    return None


def overlapping(state: State, party: tuple[str, str, str], wanted: Sequence[str], now: str) -> Held | None:
    """The oldest reservation of somebody else that has a path in common with `wanted`."""
    for one in state.held.values():
        if one.party != party and one.until > now and any(paths.overlap(a, b) for a in wanted for b in one.paths):
            return one
    return None


def in_words(one: Held) -> str:
    why = f" ({one.why})" if one.why else ""
    return f"{one.agent} has {', '.join(one.paths[:3])} until {times.shown(one.until)}{why}"


# Commands


class Reserve(Arguments):
    paths: list[str] = Field(description="Paths from the top of the repository; *, ** and ? as in .gitignore",
                             min_length=1, max_length=PATTERNS_MAX)
    for_s: times.Span = Field(HOLD_S, alias="for", le=HOLD_S_MAX, description="How long: 90s, 15m, 2h, 3d")
    why: str = Field("", max_length=500, description="What for, to be shown to the others")


class Release(Arguments):
    ids: list[str] = Field(default_factory=list, description="Reservations; none: all of this work tree")


class Reservations(Arguments):
    id: str | None = Field(None, description="Only this one, with all that is known of it")
    path: str | None = Field(None, description="Only those that this path is in")
    agent: str | None = Field(None, description="Only this agent's")


def reserve(look: Look, asked: Reserve) -> list[Proposal]:
    for pattern in asked.paths:
        paths.check(pattern)
    other = overlapping(look.state("reservations"), (look.actor, look.node, look.place), asked.paths, look.now)
    if other is not None:
        raise Lost(in_words(other))
    data = {"paths": asked.paths, "for_s": asked.for_s, "place": look.place, "why": asked.why}
    return [Proposal("paths_reserved", f"{look.actor} reserves {', '.join(asked.paths)}", data)]


def release(look: Look, asked: Release) -> list[Proposal]:
    held = look.state("reservations").held
    if asked.ids:
        chosen = [held[find(look, held, text, "reservation", shown_by="reservations")] for text in asked.ids]
    else:
        chosen = [one for one in held.values() if one.party == (look.actor, look.node, look.place)]
    if not chosen:
        raise Refused("nothing is reserved from here: `gitcoord reservations` shows what is")
    return [Proposal("paths_released", f"{look.actor} releases {', '.join(one.paths)}", re=one.id) for one in chosen]


def reservations(look: Look, asked: Reservations) -> list[dict[str, Any]] | dict[str, Any]:
    held = {one.id: one for one in look.state("reservations").held.values() if one.until > look.now}
    if asked.id is not None:
        one = held[find(look, held, asked.id, "reservation", shown_by="reservations")]
        return {**shown(one), "position": look.fleet.positions.get(one.id)}
    return [
        shown(one) for one in held.values()
        if (asked.agent is None or one.agent.casefold() == asked.agent.casefold())
        and (asked.path is None or any(paths.overlap(asked.path, pattern) for pattern in one.paths))
    ]


def shown(one: Held) -> dict[str, Any]:
    return {"id": one.id, "agent": one.agent, "node": one.node, "place": one.place, "paths": one.paths,
            "since": one.since, "until": one.until, "why": one.why}


def _answer(look: Look, uid: str) -> dict[str, Any]:
    return {"reservation": shown(look.state("reservations").held[uid])}


COMMANDS: Mapping[str, Command | Query] = {
    "reserve": Command(
        help="Keep others out of paths for a while",
        example="gitcoord reserve 'src/auth/**' --for 2h --why 'new login'",
        arguments=Reserve, decide=reserve, positional=("paths",), answer=_answer, urgent=True,
        tool="path_reserve",
    ),
    "release": Command(
        help="Give reserved paths back", example="gitcoord release", before=("gitcoord reserve README.md",),
        arguments=Release, decide=release, positional=("ids",), idempotent=True, tool="path_reserve",
    ),
    "reservations": Query(
        help="Show who holds which paths", example="gitcoord reservations --path src/auth/login.py",
        arguments=Reservations, ask=reservations, positional=("id",),
        columns=("id", "agent", "place", "paths", "until", "why"),
        tool="fleet_show",
    ),
}


def duty(state: State, look: Look) -> Iterable[Duty]:
    return ()  # whose time is up is over for everybody, without a word


def dump(state: State) -> Any:
    return values.dump(state)


def load(value: Any) -> State:
    return values.load(State, value)
