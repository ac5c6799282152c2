"""Occasions: the leader's duties that the ledger holds, and those that it voided, by their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gitcoord.core import limits
from gitcoord.core.format.event import Event


class Tried(NamedTuple):
    """A duty that the ledger voided: how many times, the last time by its leader's clock, and why."""

    times: int
    at: str
    reason: str


@dataclass(slots=True)
class Occasions:
    """Duties by key, oldest first: done, and tried in vain."""

    done: dict[str, None] = field(default_factory=dict)
    tried: dict[str, Tried] = field(default_factory=dict)

    def note(self, event: Event, void: str | None, *, by_leader: bool) -> None:
        """Note the duty that an event with a term names, if it was done, or if it was the leader's and void."""
        duty = event.data.get("duty")
        if not isinstance(duty, str) or duty in self.done:
            return
        if void is None:
            self.note_done(duty)
        elif by_leader:
            self.note_void(duty, event.timestamp, void)

    def note_done(self, key: str) -> None:
        self.tried.pop(key, None)
        self.done[key] = None
        if len(self.done) > limits.DUTIES_REMEMBERED_MAX:
            del self.done[next(iter(self.done))]

    def note_void(self, key: str, at: str, reason: str) -> None:
        before = self.tried.pop(key, None)
        self.tried[key] = Tried(before.times + 1 if before else 1, at, reason[: limits.VOID_REASON_KEPT])
        if len(self.tried) > limits.DUTIES_TRIED_MAX:
            del self.tried[next(iter(self.tried))]

    def dump(self) -> Any:
        return {"done": list(self.done), "tried": {key: [*one] for key, one in self.tried.items()}}

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Occasions:
        """Return what `dump` wrote. Raise KeyError, TypeError or ValueError for anything else."""
        tried = {str(key): Tried(int(times), str(at), str(why)) for key, (times, at, why) in value["tried"].items()}
        return cls(dict.fromkeys(value["done"]), tried)
