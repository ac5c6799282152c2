"""Conflicts: branches that cannot be merged without help, found before anybody merges; told to both, closed when gone.

An agent that looks (`gitcoord conflict check --record`, or the leader at intervals) records all that it found among the
branches that it looked at. A known conflict of these branches that is not found again is closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, StringConstraints

from gitcoord.core import times
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import NAMED, Agent, Count, Given, Payload, Words
from gitcoord.core.fold import quotas
from gitcoord.core.fold.authority import ADMIN, LEADER, MEMBER, OWNER, Asked, Persons, Resolver, Who, Whose
from gitcoord.core.format.event import Event
from gitcoord.core.lookup import find
from gitcoord.features.typed import AgentGiven

OPEN_MAX = 2000
CLOSED_KEPT = 200
PATHS_TOLD = 20  # per conflict; there may be more
FUNCTIONS_TOLD = 20  # per path
NAME_CHARS_MAX, PATH_CHARS_MAX, FUNCTION_CHARS_MAX = 250, 500, 200

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX), NAMED]
Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
PathName = Annotated[str, Field(min_length=1, max_length=PATH_CHARS_MAX), NAMED]
Kind = Annotated[str, Field(max_length=20), NAMED]
Function = Annotated[str, Field(max_length=FUNCTION_CHARS_MAX), NAMED]
Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class BranchTip(Payload):
    """A branch or pull request, by the commit that was examined."""

    name: Name
    commit: Commit
    agent: Agent | None = None


class PathConflict(Payload):
    """A path that both branches changed, and git's kind of conflict."""

    path: PathName
    kind: Kind
    lines: Count = 0
    functions: list[Function] = Field([], max_length=FUNCTIONS_TOLD)


class ConflictFound(Payload):
    """The author merged two branches on trial, and they conflict."""

    a: BranchTip
    b: BranchTip
    paths: list[PathConflict] = Field(min_length=1, max_length=PATHS_TOLD)
    more: Count = Field(0, description="paths beside those")
    severity: Severity


class ConflictClosed(Payload):
    """The conflict that the event's `re` names is over: the branches were merged or changed, or a member settled it."""

    reason: Words = ""


EVENTS: Mapping[str, type[BaseModel]] = {"conflict_found": ConflictFound, "conflict_closed": ConflictClosed}
AUTHORITY: Mapping[str, Who] = {"conflict_found": MEMBER, "conflict_closed": OWNER | ADMIN | LEADER}


@dataclass(slots=True)
class RecordedConflict:
    """A conflict between two branches, in the order of their names."""

    id: str
    a: BranchTip
    b: BranchTip
    paths: list[PathConflict]
    more: int
    severity: str
    by: str
    since: str
    until: str = ""
    reason: str = ""

    @property
    def names(self) -> tuple[str, str]:
        return (self.a.name, self.b.name)


@dataclass
class State:
    """`ids` and `counts` follow from what is open: of two branches, and of who found how many."""

    open: dict[str, RecordedConflict] = field(default_factory=dict)
    closed: dict[str, RecordedConflict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids = {one.names: one.id for one in self.open.values()}
        self.counts = Counter(one.by for one in self.open.values())


def _parties(state: State, asked: Asked, persons: Persons) -> Whose | None:
    known = state.open.get(asked.re or "")
    if known is None:
        return None
    parties = dict.fromkeys([known.by, *(one.agent for one in (known.a, known.b) if one.agent)])
    return Whose(
        f"{', '.join(parties)} (who found it or whose branch is in it)",
        lambda agent: agent in {one.casefold() for one in parties},
    )


WHOSE: Mapping[str, Resolver] = {"conflict_closed": _parties}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None:
        return None
    match sequenced.payload:
        case ConflictFound() as found:
            return _find(state, sequenced.event, found)
        case ConflictClosed() as closed:
            return _close(state, sequenced.event, closed.reason)
    return None


def _find(state: State, event: Event, found: ConflictFound) -> str | None:
    a, b = sorted((found.a, found.b), key=lambda one: one.name)
    known = between(state, a.name, b.name)
    if known is not None and (known.a.commit, known.b.commit) == (a.commit, b.commit):
        return f"{known.by} reported this conflict before"
    if known is None and len(state.open) >= OPEN_MAX:
        return f"{OPEN_MAX} conflicts are open already"
    if known is None and state.counts[event.actor] >= quotas.CONFLICTS_OPEN:
        return quotas.full(event.actor, "conflicts open", quotas.CONFLICTS_OPEN, "resolve some (`gitcoord conflict`)")
    if known is not None:  # the same two, further on: one conversation
        known.a, known.b, known.paths, known.more, known.severity = a, b, found.paths, found.more, found.severity
        return None
    state.open[event.uid] = RecordedConflict(
        event.uid, a, b, found.paths, found.more, found.severity, event.actor, event.timestamp
    )
    state.ids[a.name, b.name] = event.uid
    state.counts[event.actor] += 1
    return None


def _close(state: State, event: Event, reason: str) -> str | None:
    known = state.open.pop(event.re or "", None)
    if known is None:
        return "it is closed already"
    del state.ids[known.names]
    state.counts[known.by] -= 1
    known.until, known.reason = event.timestamp, reason
    state.closed[known.id] = known
    while len(state.closed) > CLOSED_KEPT:
        del state.closed[next(iter(state.closed))]
    return None


def between(state: State, a: str, b: str) -> RecordedConflict | None:
    """Return the open conflict of two branches, or None."""
    uid = state.ids.get((min(a, b), max(a, b)))
    return state.open[uid] if uid is not None else None


def news(state: State, found: Sequence[ConflictFound], looked_at: Iterable[str]) -> list[NewEvent]:
    """Return the events to write after a look at some branches: conflicts that are new, changed or gone."""
    proposals, seen = [], set[str]()
    for one in found:
        known = between(state, one.a.name, one.b.name)
        if known is not None:
            seen.add(known.id)
            if {known.a.commit, known.b.commit} == {one.a.commit, one.b.commit}:
                continue
        paths = ", ".join(place.path for place in one.paths[:3]) + (" …" if len(one.paths) > 3 or one.more else "")
        to = tuple(dict.fromkeys(agent for agent in (one.a.agent, one.b.agent) if agent))
        proposals.append(
            NewEvent(
                "conflict_found",
                f"{one.a.name} and {one.b.name} conflict in {paths}",
                one.model_dump(mode="json"),
                to=to,
                re=known.id if known else None,
            )
        )
    names = set(looked_at)
    for known in state.open.values():
        if known.id not in seen and names.issuperset(known.names):
            proposals.append(_closing(known, "they can be merged"))
    return proposals


def _closing(known: RecordedConflict, reason: str) -> NewEvent:
    to = tuple(dict.fromkeys(agent for agent in (known.a.agent, known.b.agent) if agent))
    return NewEvent(
        "conflict_closed", f"{known.a.name} and {known.b.name}: {reason}", {"reason": reason}, to=to, re=known.id
    )


# Commands


class ListConflicts(Arguments):
    agent: AgentGiven | None = Field(None, description="Only conflicts of this agent's branches")
    all: bool = Field(False, description="Include closed ones")


class ShowConflict(Arguments):
    conflict: Given | None = Field(
        None, description="Conflict id, its beginning, or its event's position (default: the newest open conflict)"
    )


class ResolveConflicts(Arguments):
    conflict: Given | None = Field(None, description="Conflict id, its beginning, or its event's position")
    all: bool = Field(False, description="All open conflicts")
    why: Words = Field("settled", description="How it was settled, shown to other agents")


def list_(ctx: Context, args: ListConflicts) -> list[dict[str, Any]]:
    state: State = ctx.state("conflicts")
    chosen = [*state.open.values(), *(state.closed.values() if args.all else ())]
    return [
        to_row(one)
        for one in chosen
        if args.agent is None or args.agent.casefold() in {(branch.agent or "").casefold() for branch in (one.a, one.b)}
    ]


def to_row(one: RecordedConflict) -> dict[str, Any]:
    """Return a recorded conflict as a JSON row."""
    return {
        "id": one.id,
        "severity": one.severity,
        "a": one.a.model_dump(),
        "b": one.b.model_dump(),
        "between": f"{one.a.name} and {one.b.name}",
        "files": [place.path for place in one.paths],
        "paths": [place.model_dump() for place in one.paths],
        "more": one.more,
        "by": one.by,
        "since": one.since,
        "until": one.until or None,
        "reason": one.reason,
    }


def show(ctx: Context, args: ShowConflict) -> dict[str, Any]:
    named = args.conflict
    if named is None:
        named = next(reversed(ctx.state("conflicts").open), None)
    if named is None:
        return {}
    one = _named(ctx, named)
    return {**to_row(one), "position": ctx.fleet.positions.get(one.id)}


def _named(ctx: Context, text: str) -> RecordedConflict:
    state: State = ctx.state("conflicts")
    known = {**state.open, **state.closed}
    return known[find(ctx, known, text, "conflict", shown_by="conflict list --all")]


def resolve(ctx: Context, args: ResolveConflicts) -> list[NewEvent]:
    state: State = ctx.state("conflicts")
    if args.all:
        return [_closing(one, args.why) for one in state.open.values()]
    if args.conflict is None:
        raise Refused("name a conflict, or give --all: `gitcoord conflict list` lists them")
    chosen = _named(ctx, args.conflict)
    if chosen.until:
        raise Refused(f"conflict {chosen.id[:8]} is closed since {times.shown(chosen.until)}: {chosen.reason}")
    return [_closing(chosen, args.why)]


COMMANDS: Mapping[str, Command | Query] = {
    "conflict list": Query(
        help="List recorded conflicts between branches",
        example="gitcoord conflict list --all",
        arguments=ListConflicts,
        ask=list_,
        columns=("id", "severity", "between", "files", "since"),
    ),
    "conflict show": Query(
        help="Show a recorded conflict, path by path",
        example="gitcoord conflict show",
        arguments=ShowConflict,
        ask=show,
        positional=("conflict",),
    ),
    "conflict resolve": Command(
        help="Mark a conflict as settled",
        example="gitcoord conflict resolve --all --why 'alice takes both'",
        arguments=ResolveConflicts,
        decide=resolve,
        positional=("conflict",),
        idempotent=True,
    ),
}
