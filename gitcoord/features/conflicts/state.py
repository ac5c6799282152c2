"""Recorded conflicts: the open ones, and the newest closed ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.core.commands import NewEvent
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold import quotas
from gitcoord.core.fold.authority import Asked, Persons, Resolver, Whose
from gitcoord.core.format.event import Event
from gitcoord.features.conflicts.events import BranchTip, ConflictClosed, ConflictFound, PathConflict

OPEN_MAX = 2000
CLOSED_KEPT = 200


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
    """Conflicts by id, oldest first. Derived: `ids`, by the names of the branches; `counts`, of open ones by author."""

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
    if known is not None:  # the same branches with newer commits: one conversation
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
        return "this conflict is closed already"
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


def news(state: State, found: Sequence[ConflictFound], checked: Iterable[str]) -> list[NewEvent]:
    """Return the events to write after a check of branches: conflicts that are new, changed or gone.

    `checked`: the names of all branches that were checked.
    """
    new_events, seen = [], set[str]()
    for one in found:
        known = between(state, one.a.name, one.b.name)
        if known is not None:
            seen.add(known.id)
            if {known.a.commit, known.b.commit} == {one.a.commit, one.b.commit}:
                continue
        paths = ", ".join(place.path for place in one.paths[:3]) + (" …" if len(one.paths) > 3 or one.more else "")
        to = tuple(dict.fromkeys(agent for agent in (one.a.agent, one.b.agent) if agent))
        new_events.append(
            NewEvent(
                "conflict_found",
                f"{one.a.name} and {one.b.name} conflict in {paths}",
                one.model_dump(mode="json"),
                to=to,
                re=known.id if known else None,
            )
        )
    names = set(checked)
    for known in state.open.values():
        if known.id not in seen and names.issuperset(known.names):
            new_events.append(closing(known, "they can be merged"))
    return new_events


def closing(known: RecordedConflict, reason: str) -> NewEvent:
    """Return the event that closes a conflict, addressed to the agents of both branches."""
    to = tuple(dict.fromkeys(agent for agent in (known.a.agent, known.b.agent) if agent))
    return NewEvent(
        "conflict_closed", f"{known.a.name} and {known.b.name}: {reason}", {"reason": reason}, to=to, re=known.id
    )
