"""Commands: what a member may ask for. `decide` refuses early, with a reason; the fold decides in the end.

The command line, the Python interface and the tools for AI agents are derived from these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    from gitcoord.core.format.event import Event

FROM_FILE: dict[str, Any] = {"file": True}
"""`json_schema_extra` of a text argument for which people name a file."""

ROWS_MAX = 1000  # in one answer; `--after` shows the next rows


class Arguments(BaseModel):
    """The arguments of a command: each field is an option, or a positional, with its description."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, defer_build=True, allow_inf_nan=False)


class FleetView(Protocol):
    """The parts of the fold (`fleet_state.py`) that commands and duties read. They must not change anything."""

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
    """The input of a command or a duty: the fold, the time, its author, and the liveness of the other agents."""

    fleet: FleetView
    now: str  # UTC, as in events
    actor: str = ""
    node: str = ""
    place: str = ""  # the author's work tree; "" is the clone's main one
    liveness: Mapping[str, AgentLiveness] = field(default_factory=dict)  # by agent, casefolded
    read: Callable[[int], bytes] | None = None  # the ledger's line at a position; None if there is only the fold
    branch: Callable[[], str] | None = None  # the branch of the author's linked work tree; "": none is known
    watching_s: float = math.inf  # since when this node looks at the remote without a gap
    seen_s: Callable[[int], float] | None = None  # seconds since this node first saw a position; None: by `now`
    head_of: Callable[[str, int], str] | None = None  # the commit of a pull request on the remote; "": none is seen
    located: Callable[[str], str] = str  # a path that the author typed, as from the top of the repository
    has_branch: Callable[[str], bool] | None = None  # whether the clone has a branch of that name
    pending: Callable[[], Sequence[Event]] | None = None  # this node's events that the ledger may lack

    def state(self, feature: str) -> Any:
        """Return a feature's state. The caller must not change it."""
        return self.fleet.states[feature]

    def age_s(self, at: str, position: int) -> float:
        """Return the seconds since the event at `position`, whose accepted time is `at`.

        They are the seconds that this node has seen pass, or more if ledger time says so. No two machines' clocks are
        compared.
        """
        if self.seen_s is None:
            return times.between_s(at, self.now)
        return max(self.seen_s(position), times.between_s(at, self.fleet.time.now))


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that a command wants to write."""

    type: str
    content: str
    data: Mapping[str, Any] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    re: str | None = None
    interaction: int | None = None


Answer = Mapping[str, Any]  # JSON values


@dataclass(frozen=True, slots=True)
class Command:
    """A command that changes something. Its key in `COMMANDS` is what people type: `task claim`."""

    help: str  # imperative, one line, no full stop
    example: str  # a line that runs after `before`
    arguments: type[BaseModel]
    decide: Callable[[Context, Any], Sequence[NewEvent]]  # raises Refused, or Lost if somebody else was first
    positional: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # lines that the example needs
    answer: Callable[[Context, str], Answer] | None = None  # the result, by the id of its first event
    answers_thread: bool = False  # the result by that event's `re` instead
    judged: bool = True  # only the ledger tells whether it took effect: if that is not known, the exit code is 4
    binds: bool = False  # it binds the agent: refused while a session of the agent lives in another place
    urgent: bool = False  # somebody waits for the result: it may borrow from the push budget
    destructive: bool = False
    idempotent: bool = False
    tries: int = 1  # how often it decides, if another member is faster each time
    fresh: bool = False  # it shows the fleet: the command line syncs first, as for a query
    shows: Callable[[Context, Any], Answer] | None = None  # more of the result, by the arguments, also of no event
    lines: Callable[[Answer], Iterable[str]] | None = None  # the result as text for people
    tool: str | None = None  # the tool, `noun_verb`, that offers it to AI agents; None: no tool does


@dataclass(frozen=True, slots=True)
class Query:
    """A command that reads. Its answer is a list of rows, or one object."""

    help: str
    example: str
    arguments: type[BaseModel]
    ask: Callable[[Context, Any], Sequence[Answer] | Answer]  # raises Refused
    columns: tuple[str, ...] = ()  # of a list's table; () for one object
    beside: Callable[[Context, Any], Answer] | None = None  # what JSON has beside the rows; people see its `note`
    positional: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    lines: Callable[[Answer], Iterable[str]] | None = None  # one object as text for people
    tool: str | None = None
