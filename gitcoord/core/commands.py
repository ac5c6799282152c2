"""Commands: what a member may ask for. `decide` refuses early, with a reason; the fold is the judge.

The command line, the Python interface and the tools for AI agents are derived from these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

from gitcoord.core import times
from gitcoord.core.liveness import AgentLiveness

if TYPE_CHECKING:
    from gitcoord.core.fold.ledger_time import LedgerTime
    from gitcoord.core.fold.members import Members
    from gitcoord.core.fold.quotas import Quotas
    from gitcoord.core.fold.terms import Terms

FROM_FILE: dict[str, Any] = {"file": True}
"""`json_schema_extra` of an argument that is a text: people name a file that holds it."""

ROWS_MAX = 1000  # of one answer; `--after` goes on


class Arguments(BaseModel):
    """What a command is told: each field an option (or a positional) with its description. No others."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, defer_build=True, allow_inf_nan=False)


class FleetView(Protocol):
    """What commands and duties read of the folded ledger (`fleet_state.py`). Nothing here is to be changed."""

    @property
    def id(self) -> str | None: ...
    @property
    def position(self) -> int: ...
    @property
    def positions(self) -> Mapping[str, int]: ...
    @property
    def members(self) -> Members: ...
    @property
    def terms(self) -> Terms: ...
    @property
    def time(self) -> LedgerTime: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def states(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a command or a duty decides by: the fold, the time, its author, and how alive the others were lately."""

    fleet: FleetView
    now: str  # UTC, as in events
    actor: str = ""
    node: str = ""
    place: str = ""  # the work tree that the author acts from; "" is the clone's own
    liveness: Mapping[str, AgentLiveness] = field(default_factory=dict)  # by agent, casefolded
    read: Callable[[int], bytes] | None = None  # the ledger's line at a position; None where only the fold is at hand
    seen_s: Callable[[int], float] | None = None  # seconds since this node first saw a position; None: by `now`
    head_of: Callable[[str, int], str] | None = None  # the commit of a pull request on the remote; "": none is seen

    def state(self, feature: str) -> Any:
        """Return a feature's state, which is not to be changed."""
        return self.fleet.states[feature]

    def age_s(self, at: str, position: int) -> float:
        """Return the seconds since the event at `position`, which the ledger takes to be of the time `at`.

        The seconds are those that this node has seen pass, or more, where ledger time says so. No two machines' clocks
        are compared.
        """
        if self.seen_s is None:
            return times.between_s(at, self.now)
        return max(self.seen_s(position), times.between_s(at, self.fleet.time.now))


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that a command wants to be written."""

    type: str
    content: str
    data: Mapping[str, Any] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    re: str | None = None
    interaction: int | None = None


Answer = Mapping[str, Any]  # JSON values


@dataclass(frozen=True, slots=True)
class Command:
    """Changes something. Its key in `COMMANDS` is what people type: `task claim`."""

    help: str  # imperative, one line, no full stop
    example: str  # a line that runs after `before`
    arguments: type[BaseModel]
    decide: Callable[[Context, Any], Sequence[NewEvent]]  # raises Refused, or Lost where the ledger shows that it is
    positional: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # lines that the example needs
    answer: Callable[[Context, str], Answer] | None = None  # what came of it, by the id of its first event
    answers_thread: bool = False  # or by the id of what that event is about: its `re`
    judged: bool = True  # only the ledger can tell whether it took effect: without its word the exit code is 4
    urgent: bool = False  # somebody waits for the outcome: may borrow from the push budget
    destructive: bool = False
    idempotent: bool = False
    tool: str | None = None  # the tool, `noun_verb`, that offers it to AI agents, perhaps with others; None: none does


@dataclass(frozen=True, slots=True)
class Query:
    """Reads. The answer is a list of rows, or one thing."""

    help: str
    example: str
    arguments: type[BaseModel]
    ask: Callable[[Context, Any], Sequence[Answer] | Answer]  # raises Refused
    columns: tuple[str, ...] = ()  # of a list's table; () for one thing
    positional: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    tool: str | None = None
