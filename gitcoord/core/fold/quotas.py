"""Quotas: how much one author may write in a day and hold open, so that a flood costs its author and not the fleet.

The fold applies them. The leader's lines (those with a term) have a quota of their own, since it writes for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel

from gitcoord.core import times
from gitcoord.core.fields import Agent, Moment, Payload, Words
from gitcoord.core.fold.authority import ADMIN, Who
from gitcoord.core.fold.members import Members
from gitcoord.core.format.event import Event

EVENTS_A_DAY = 250_000  # nearly three a second all day; a busy agent writes one every few seconds
BYTES_A_DAY = 128 * 1024 * 1024  # commits of the linux kernel of four years; 100,000 usual events need half of it
# Of an author's lines with a term: one feature's most duties of a tick (50), in every tick of a day (`lan`: each 3 s),
# are 1.44 million. An honest leader that reaches the quota appends no more, and the others' events go on.
LED_EVENTS_A_DAY = 2_000_000
LED_BYTES_A_DAY = 1024 * 1024 * 1024
# Open at a time, of one author. Each is a part of the whole fleet's limit (in the feature), so that a few floods leave
# room for the others.
TASKS_OPEN = 5000  # of 20,000: what a hundred agents do in a quarter of an hour
TASK_BYTES_OPEN = 4 * 1024 * 1024  # of 16 MiB
RESERVATIONS_HELD = 100  # of 2000: an agent works on a few files
PATTERNS_HELD = 500  # of 5000: ten reservations of the largest kind
WILD_CHARACTERS_HELD = 1000  # of patterns that are no plain folders: each slows down later reservations
DIRECTIVES_OPEN = 100  # of 500
PARTS_OPEN = 4000  # of 20,000: agents for whom all directives of one author wait
WORKFLOWS_DEFINED = 50  # of 200
WORKFLOWS_RUNNING = 50  # of 200
CONDITION_CHARACTERS_RUNNING = 40_000  # of `when` in running workflows: as much as fits into the largest file
WORKFLOWS_REQUESTED = 20  # of 100
CONFLICTS_OPEN = 500  # of 2000: a leader finds some dozens among fifty branches

MUTES_MAX = 1000
FLOODS_SHOWN = 10

HEARD = frozenset({"agent_left", "agent_unregistered", "agent_unmuted", "leader_resigned", "task_released"})
"""Types that a muted agent may still write: to leave, and to give back what it has."""


class AgentMuted(Payload):
    """An admin mutes an agent: its events have no effect, until the time `until` if that is given."""

    agent: Agent
    until: Moment | None = None
    reason: Words = ""


class AgentUnmuted(Payload):
    """An admin ends a mute: the agent's events count again."""

    agent: Agent


EVENTS: dict[str, type[BaseModel]] = {"agent_muted": AgentMuted, "agent_unmuted": AgentUnmuted}
AUTHORITY: Mapping[str, Who] = {"agent_muted": ADMIN, "agent_unmuted": ADMIN}


@dataclass(slots=True)
class AuthorUsage:
    """One author's events in this day of the ledger. `void`: those beyond the quota, or while it was muted."""

    events: int = 0
    bytes: int = 0
    hour: str = ""  # the newest hour in which it wrote
    hour_events: int = 0
    hour_bytes: int = 0
    void: int = 0
    led_events: int = 0  # with a term, as the leader
    led_bytes: int = 0


@dataclass(slots=True)
class ActiveMute:
    agent: str
    by: str
    since: str
    until: str  # "": until an admin ends it
    reason: str


@dataclass(slots=True)
class Quotas:
    """The usage of each author in the ledger's newest day, and the mutes."""

    at: str = ""  # the newest time of the ledger
    day: str = ""
    tallies: dict[str, AuthorUsage] = field(default_factory=dict)
    muted: dict[str, ActiveMute] = field(default_factory=dict)  # by casefolded agent

    def mute_of(self, agent: str, now: str) -> ActiveMute | None:
        """Return the mute of an agent that is in force at `now`; None if there is none."""
        one = self.muted.get(agent.casefold()) if self.muted else None
        return one if one is not None and (not one.until or one.until > now) else None

    def floods(self) -> list[dict[str, Any]]:
        """Return the authors with much in this day, the most first: a hundredth of a quota, or any void event."""
        total = sum(one.events for one in self.tallies.values())
        hour = self.at[11:13]
        rows: list[dict[str, Any]] = [
            {
                "agent": agent,
                "events": one.events,
                "bytes": one.bytes,
                "void": one.void,
                "hour_events": one.hour_events if one.hour == hour else 0,
                "hour_bytes": one.hour_bytes if one.hour == hour else 0,
                "share": round(one.events / total, 3) if total else 0.0,
                "muted": self.mute_of(agent, self.at) is not None,
            }
            for agent, one in self.tallies.items()
            if one.void or one.events > EVENTS_A_DAY // 100 or one.bytes > BYTES_A_DAY // 100
        ]
        return sorted(rows, key=lambda row: (-row["void"], -row["events"], row["agent"]))[:FLOODS_SHOWN]

    def rejects(self, event: Event, at: str, members: Members) -> str | None:
        """Return why a member's line has no effect because of a mute or a quota; None otherwise. Change nothing."""
        if self.muted and event.type not in HEARD:
            mute = self.mute_of(event.actor, at)
            if mute is not None:
                return in_words(mute)
        tally = self.tallies.get(event.actor)
        if tally is None or at[:10] > self.day:
            return None
        if event.term is not None:
            if tally.led_events < LED_EVENTS_A_DAY and tally.led_bytes + len(event.line) <= LED_BYTES_A_DAY:
                return None
            much = f"{LED_EVENTS_A_DAY:,} events or {LED_BYTES_A_DAY >> 20} MiB as the leader"
            return self._over(event, members, much)
        if tally.events >= EVENTS_A_DAY:
            return self._over(event, members, f"{EVENTS_A_DAY:,} events")
        if tally.bytes + len(event.line) > BYTES_A_DAY:
            return self._over(event, members, f"{BYTES_A_DAY >> 20} MiB")
        return None

    def _over(self, event: Event, members: Members, much: str) -> str | None:
        if event.type in HEARD or _is_imported(members, event):
            return None
        return f"{event.actor} has written {much} on {self.day}, and a day has no more for one author: go on tomorrow"

    def count(self, event: Event, at: str, members: Members, void: str | None) -> None:
        """Count a member's line. A void line counts too: it takes a position in the ledger."""
        if at != self.at:
            self.at = max(self.at, at)
            if at[:10] > self.day:
                self.day = at[:10]
                self.tallies.clear()
        if void is None and event.term is None and _is_imported(members, event):
            return
        tally = self.tallies.get(event.actor)
        if tally is None:
            tally = self.tallies[event.actor] = AuthorUsage()
        if void is None and event.term is not None:
            tally.led_events += 1
            tally.led_bytes += len(event.line)
            return
        if void is not None and void == self.rejects(event, at, members):
            tally.void += 1
            return
        size = len(event.line)
        if tally.hour != at[11:13]:
            tally.hour, tally.hour_events, tally.hour_bytes = at[11:13], 0, 0
        tally.events += 1
        tally.bytes += size
        tally.hour_events += 1
        tally.hour_bytes += size

    def fold(self, event: Event, at: str, payload: BaseModel | None, members: Members) -> None:
        """Apply a line that `rejects` let through."""
        if isinstance(payload, AgentMuted):
            member = members.get(payload.agent)
            name = member.id if member is not None else payload.agent
            self.muted.pop(name.casefold(), None)
            self.muted[name.casefold()] = ActiveMute(name, event.actor, at, payload.until or "", payload.reason)
            if len(self.muted) > MUTES_MAX:
                del self.muted[next(iter(self.muted))]
        elif isinstance(payload, AgentUnmuted):
            self.muted.pop(payload.agent.casefold(), None)

    def dump(self) -> Any:
        return {
            "at": self.at,
            "day": self.day,
            "tallies": {agent: [*asdict(one).values()] for agent, one in self.tallies.items()},
            "muted": [[*asdict(one).values()] for one in self.muted.values()],
        }

    @classmethod
    def load(cls, value: Any) -> Quotas:
        """Return what `dump` wrote. Raise TypeError or ValueError for anything else."""
        tallies: Mapping[str, list[Any]] = value["tallies"]
        for fields in tallies.values():
            if [*map(type, fields)] != [int, int, str, int, int, int, int, int]:
                raise TypeError(f"no tally: {fields!r}")
        for fields in value["muted"]:
            if [*map(type, fields)] != [str] * 5:
                raise TypeError(f"no mute: {fields!r}")
        mutes = [ActiveMute(*fields) for fields in value["muted"]]
        return cls(
            str(value["at"]),
            str(value["day"]),
            {agent: AuthorUsage(*fields) for agent, fields in tallies.items()},
            {one.agent.casefold(): one for one in mutes},
        )


def in_words(mute: ActiveMute) -> str:
    until = f" until {times.shown(mute.until)}" if mute.until else ""
    why = f" ({mute.reason})" if mute.reason else ""
    return f"{mute.agent} is muted{until} by {mute.by}{why}: `gitcoord agent unmute {mute.agent}` of an admin ends that"


def full(author: str, what: str, most: int, cure: str) -> str:
    """Return the message for an author that reached a quota: which one, and what to do."""
    return f"{author} has {most:,} {what}, and one author may have no more: {cure}"


def _is_admin(members: Members, event: Event) -> bool:
    return members.role_of(event.actor) == "admin"


def _is_imported(members: Members, event: Event) -> bool:
    """Return whether an admin imported the event from another log: years of events come in one day then."""
    return "source" in event.data and _is_admin(members, event)
