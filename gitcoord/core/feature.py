"""A feature, as the core sees it: the names in its module, the events that it folds, the duties that it wants done.

A small feature defines only what it needs. Without `duty` it has no duties. Without `dump` and `load` its state is
written as `values.py` writes any dataclass of plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from gitcoord.core import values
from gitcoord.core.commands import Command, Context, Query
from gitcoord.core.fold.authority import Role, Who
from gitcoord.core.format.event import Draft, Event


class SequencedEvent(NamedTuple):
    """An event at its position. `void` says why it has no effect; `payload` is its typed data.

    `event.timestamp` is the accepted time of writing, which may differ from the time in its line. `now` is ledger time
    with this event (`ledger_time.py`).
    """

    position: int
    event: Event
    void: str | None = None
    payload: BaseModel | None = None
    parent: int | None = None  # position of the event that `re` names
    now: str = ""
    role: Role = "member"  # of its author, at this position


@dataclass(frozen=True, slots=True)
class Duty:
    """An event that the leader should append; `key` names the occasion, so that it is appended once."""

    type: str
    content: str
    key: str
    data: Mapping[str, Any] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    re: str | None = None

    def draft(self, *, actor: str, term: int, timestamp: str, uid: str) -> Draft:
        """Return the leader's event. Its `data.duty` names the occasion, so that a successor knows that it was done."""
        return Draft(
            actor=actor,
            type=self.type,
            content=self.content,
            timestamp=timestamp,
            uid=uid,
            term=term,
            data={**self.data, "duty": self.key},
            to=self.to,
            re=self.re,
        )


class Feature(Protocol):
    """A vertical slice: a module of `gitcoord.features` with these names, and those of `OPTIONAL` that it needs."""

    EVENTS: Mapping[str, type[BaseModel]]
    AUTHORITY: Mapping[str, Who]
    COMMANDS: Mapping[str, Command | Query]

    def State(self) -> Any: ...

    def fold(self, state: Any, sequenced: SequencedEvent) -> str | None: ...


OPTIONAL = ("duty", "dump", "load")
"""Names that a feature may omit: the functions below have a default for each."""


def duties(feature: Feature, state: Any, ctx: Context) -> Iterable[Duty]:
    """Return the events that the leader should append now for a feature; none if it has no `duty`."""
    duty = getattr(feature, "duty", None)
    found: Iterable[Duty] = () if duty is None else duty(state, ctx)
    return found


def dump(feature: Feature, state: Any) -> Any:
    """Return a feature's state as JSON values, equal on every machine for equal states."""
    own = getattr(feature, "dump", None)
    return values.dump(state) if own is None else own(state)


class States(dict[str, Any]):
    """The states of features, by name. Each is made, or loaded from what `dump` wrote, when it is first used.

    So a command that looks at one feature imports that one only. A lookup is as fast as a dict's: a fold makes some
    twenty for each line.
    """

    def __init__(self, features: Mapping[str, Feature], dumped: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._features = features
        self._dumped = None if dumped is None else dict(dumped)

    def __missing__(self, name: str) -> Any:
        feature = self._features[name]
        state = self[name] = feature.State() if self._dumped is None else load(feature, self._dumped.pop(name))
        return state

    def complete(self) -> None:
        """Load every state now. Raise KeyError, TypeError or ValueError for what `dump` did not write."""
        for name in self._features:
            self[name]


def load(feature: Feature, value: Any) -> Any:
    """Return the state that `dump` wrote. Raise KeyError, TypeError or ValueError for anything else."""
    own = getattr(feature, "load", None)
    return values.load(type(feature.State()), value) if own is None else own(value)
