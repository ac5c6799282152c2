"""Places: how many void lines, newcomers and new nodes the ledger admits in a day. Further ones wait.

A void line keeps its position forever, and everybody who reads the ledger reads it. So the fold counts void lines:
those of each member separately, those of all other keys together, for a key costs nothing. Beyond the day's number a
line is inadmissible: it stays in its author's outbox until the ledger's next day, and only its own node's chain waits
behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from gitcoord.core.fold.ledger_time import LedgerTime
from gitcoord.core.fold.members import Members
from gitcoord.core.format.event import Event

# Of one member: a tenth of what it may write with effect. It is more than one batch holds, since a batch is filled as
# if each line were void. And ten thousand queued events come twice after a fork, the second time void.
VOID_LINES_OF_MEMBER_MAX = 25_000
VOID_BYTES_OF_MEMBER_MAX = 24 * 1024 * 1024
# Of all keys together that are no member's: half a minute of folding, and less than 2 % of what a member may write.
LINES_OF_STRANGERS_MAX = 5000
BYTES_OF_STRANGERS_MAX = 8 * 1024 * 1024
NEWCOMERS_MAX = 500  # that no admin admitted: a fleet of 200 agents starts in one day; an admin can admit more
NODES_OF_MEMBER_MAX = 1000  # new chains: workflows that make a new clone every two minutes have 720

ALWAYS = frozenset(
    {
        "agent_admitted",
        "agent_expelled",
        "agent_muted",
        "agent_unmuted",
        "key_revoked",
        "role_changed",
        "admission_changed",
    }
)
"""Types that an admin can always write, to end a flood."""

_WHEN = "it waits until the ledger's next day, which comes when members write"


@dataclass(slots=True)
class Used:
    """The numbers that one author, or all strangers together, used in a day."""

    day: str = ""
    lines: int = 0
    bytes: int = 0
    nodes: int = 0


Standing = Literal["member", "expected", "newcomer", "stranger"]


def standing_of(event: Event, members: Members, position: int) -> Standing:
    """Return what the author is at `position`: a member with this key, somebody who joins, or a stranger."""
    member = members.get(event.actor)
    if member is not None and member.key == event.key and member.admitted and not member.expelled:
        if position <= members.revoked.get(event.key, position):
            return "member"
    if members.founded is None or (event.type == "agent_joined" and event.actor.casefold() in members.expected):
        return "expected"
    return "newcomer" if event.type == "agent_joined" and member is None else "stranger"


@dataclass(slots=True)
class Ahead:
    """The lines of a batch that are not folded yet. Each may turn out to be void, and counts as void."""

    lines: Counter[str] = field(default_factory=Counter)  # by casefolded author
    bytes: Counter[str] = field(default_factory=Counter)
    nodes: Counter[str] = field(default_factory=Counter)
    strange_lines: int = 0
    strange_bytes: int = 0
    newcomers: int = 0
    touched: set[str] = field(default_factory=set)  # casefolded ids, and keys, whose standing the batch may change
    spare: int = 1  # for a control line at the beginning of the commit

    def add(self, event: Event, members: Members, position: int) -> None:
        """Count a line of the batch."""
        name, size = event.actor.casefold(), len(event.line)
        if name in self.touched or standing_of(event, members, position) != "member":
            self.strange_lines += 1
            self.strange_bytes += size
            self.newcomers += event.type == "agent_joined"
        self.lines[name] += 1
        self.bytes[name] += size
        self.nodes[name] += event.seq == 1
        if event.type in ("agent_joined", "key_changed"):
            self.touched |= {name, event.key, *_texts(event, "key")}
        elif event.type in ALWAYS and (name in self.touched or members.role_of(event.actor) == "admin"):
            keys = _texts(event, "key")
            owners = {members.owners[key] for name in keys if (key := members.key_named(name)) is not None}
            self.touched |= {*keys, *owners, *(agent.casefold() for agent in _texts(event, "agent"))}


def _texts(event: Event, field_: str) -> list[str]:
    value = event.data.get(field_)
    return [value] if isinstance(value, str) else []


_NOTHING = Ahead(spare=0)


@dataclass(slots=True)
class Places:
    """The numbers used in the ledger's newest day. A member's own day may be a later one: see `_day`."""

    day: str = ""
    members: dict[str, Used] = field(default_factory=dict)  # by casefolded id
    strangers: Used = field(default_factory=Used)
    newcomers: int = 0

    def holds_back(
        self,
        event: Event,
        members: Members,
        time: LedgerTime,
        *,
        position: int,
        has_effect: Callable[[Event], bool],
        ahead: Ahead | None = None,
    ) -> str | None:
        """Return why a line is not admitted today; None if it is. Change nothing.

        `has_effect` tells whether a line would have effect if it came now. `ahead` are the lines before it in a batch.
        """
        if ahead is None:
            if event.seq != 1 and event.type != "agent_joined" and not self.members and not self.strangers.lines:
                return None  # nearly all lines
            ahead = _NOTHING
        name = event.actor.casefold()
        standing, sure = standing_of(event, members, position), name not in ahead.touched
        if standing == "member" and sure and event.type in ALWAYS and members.role_of(event.actor) == "admin":
            return None
        if standing == "member" or not sure:
            reason = self._member_waits(event, members, time, ahead)
            if sure or reason is not None:
                return reason
        if standing in ("newcomer", "expected"):
            sure = sure and event.key not in ahead.touched and not ahead.lines[name] and event.term is None
            comes = sure and has_effect(event)
            if comes and standing == "expected":
                return None
            if self.newcomers + ahead.newcomers >= NEWCOMERS_MAX:
                return self._too_many_newcomers()
            if comes:
                return None
        return self._stranger_waits(event, ahead)

    def _member_waits(self, event: Event, members: Members, time: LedgerTime, ahead: Ahead) -> str | None:
        used = self.members.get(event.actor.casefold())
        # The lines before it in a batch may set ledger time back: only the first line of a batch can begin a new day.
        if used is None or (not ahead.lines and used.day < self._day(event, members, time)):
            used = Used()
        return self._full(event.actor, used, ahead, new=event.seq == 1)

    def _full(self, author: str, used: Used, ahead: Ahead, *, new: bool) -> str | None:
        name = author.casefold()
        lines, size = used.lines + ahead.lines[name] + ahead.spare, used.bytes + ahead.bytes[name]
        if lines >= VOID_LINES_OF_MEMBER_MAX or size >= VOID_BYTES_OF_MEMBER_MAX:
            return (
                f"{author} has put {used.lines:,} lines without effect into the ledger on {used.day or self.day}, "
                f"and that is the limit of a day: {_WHEN}; `gitcoord queue drop` takes it out"
            )
        if new and used.nodes + ahead.nodes[name] >= NODES_OF_MEMBER_MAX:
            return (
                f"{author} has begun {NODES_OF_MEMBER_MAX:,} nodes on {used.day or self.day}, and that is "
                f"the limit of a day: {_WHEN}"
            )
        return None

    def _stranger_waits(self, event: Event, ahead: Ahead) -> str | None:
        lines = self.strangers.lines + ahead.strange_lines + ahead.spare
        size = self.strangers.bytes + ahead.strange_bytes + len(event.line)
        if lines < LINES_OF_STRANGERS_MAX and size <= BYTES_OF_STRANGERS_MAX:
            return None
        return self._too_many_strangers()

    def _too_many_newcomers(self) -> str:
        return (
            f"{NEWCOMERS_MAX} agents that no admin admitted have joined on {self.day}, and that is the limit of a day: "
            f"{_WHEN}, or until an admin runs `gitcoord agent admit`"
        )

    def _too_many_strangers(self) -> str:
        return (
            f"those who are no members have put {self.strangers.lines:,} lines into the ledger on {self.day}, and "
            f"that is the limit of a day: {_WHEN}, or until an admin runs `gitcoord agent admit`"
        )

    def is_full(self, member: str) -> bool:
        """Return whether no line of a member would be admitted now, as far as that is known without the line."""
        used = self.members.get(member.casefold())
        return used is not None and self._full(member, used, Ahead(), new=False) is not None

    def full(self) -> dict[str, str]:
        """Return the authors whose lines wait now, and why: casefolded ids of members, and "" for all strangers."""
        found = {
            name: reason
            for name, used in self.members.items()
            if (reason := self._full(name, used, Ahead(), new=False)) is not None
        }
        if self.strangers.lines + 1 >= LINES_OF_STRANGERS_MAX or self.strangers.bytes >= BYTES_OF_STRANGERS_MAX:
            found[""] = self._too_many_strangers()
        elif self.newcomers >= NEWCOMERS_MAX:
            found[""] = self._too_many_newcomers()
        return found

    def _day(self, event: Event, members: Members, time: LedgerTime) -> str:
        """Return the day that the ledger would have if this line of a member had effect.

        If only one member writes, only its own lines begin a new day. If these waited, the next day would never come.
        """
        role = members.role_of(event.actor)
        if role is None or role == "guest":
            return self.day
        return max(self.day, time.with_witness(event.actor, event.timestamp, admin=role == "admin")[:10])

    def count(self, event: Event, members: Members, time: LedgerTime, *, void: bool, standing: Standing) -> None:
        """Count a line that was folded. `standing` is what its author was before the line."""
        day = time.now[:10]
        if day > self.day:
            self.day, self.strangers, self.newcomers = day, Used(day), 0
            self.members = {name: used for name, used in self.members.items() if used.day >= day}
        if standing == "member":
            if void or event.seq == 1:
                self._count_of_member(event, self._day(event, members, time), void)
        elif void or standing == "stranger":
            self.strangers.lines += 1
            self.strangers.bytes += len(event.line)
        elif standing == "newcomer":
            self.newcomers += 1

    def _count_of_member(self, event: Event, day: str, void: bool) -> None:
        used = self.members.get(event.actor.casefold())
        if used is None or used.day < day:
            used = self.members[event.actor.casefold()] = Used(day)
        used.nodes += event.seq == 1
        if void:
            used.lines += 1
            used.bytes += len(event.line)

    def copy(self) -> Places:
        return Places(
            self.day,
            {name: replace(used) for name, used in self.members.items()},
            replace(self.strangers),
            self.newcomers,
        )

    def dump(self) -> Any:
        return {
            "day": self.day,
            "newcomers": self.newcomers,
            "strangers": [*asdict(self.strangers).values()],
            "members": {name: [*asdict(used).values()] for name, used in self.members.items()},
        }

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Places:
        """Return what `dump` wrote. Raise KeyError, TypeError or ValueError for anything else."""
        rows: Mapping[str, list[Any]] = value["members"]
        for row in (*rows.values(), value["strangers"]):
            if [*map(type, row)] != [str, int, int, int]:
                raise TypeError(f"no count of places: {row!r}")
        return cls(
            str(value["day"]),
            {str(name): Used(*row) for name, row in rows.items()},
            Used(*value["strangers"]),
            int(value["newcomers"]),
        )
