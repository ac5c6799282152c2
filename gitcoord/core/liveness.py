"""Liveness: how long an agent has been silent, compared with the period after which it promised its next heartbeat.

No two machines' clocks are compared: silence counts from when this machine last saw the heartbeat's counter change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gitcoord.core import limits, times
from gitcoord.core.format.event import Event

ALIVE, LATE, GONE, GOODBYE, SILENT = "alive", "late", "gone", "goodbye", "silent"

LATE_AFTER = 1.5  # promised periods; a heartbeat may wait for the push budget or a slow round
GONE_AFTER = 3.0
HUNG_AFTER = 15.0  # for an agent whose process is known to run: its machine may be busy
SKEW_S_MAX = 2 * 3600  # in an outbox seen for the first time, only a timestamp older than any clock error counts
OBSERVED_MAX = 1000


@dataclass(frozen=True, slots=True)
class Observation:
    """One agent's newest heartbeat on one node. `since_s` is this machine's time when it was first seen."""

    agent: str
    node: str
    session: str
    n: int
    next_s: float
    goodbye: bool
    since_s: float
    silent_s: float = 0.0  # its age when it was first seen, as far as that was known
    position: int = 0  # the ledger position up to which its node had folded
    blind_s: float = 0.0  # the part of the time since then in which this node could not look
    at: str = ""  # its time, by its author's clock
    began: str = ""  # when its session began, by that clock


def observe(
    known: Iterable[Observation], heartbeats: Iterable[Event], now_s: float, *, blind_s: float = 0.0
) -> list[Observation]:
    """Return the observations after a look at all outboxes at `now_s`: a heartbeat with a new counter counts as new.

    An agent whose outbox is gone keeps its last observation, so that it becomes late, then gone. `blind_s`: the time
    since the last look, beyond the usual time between two looks.
    """
    seen = {(one.agent, one.node): replace(one, blind_s=one.blind_s + blind_s) if blind_s else one for one in known}
    for heartbeat in heartbeats:
        observation = _observed(heartbeat, now_s)
        if observation is None:
            continue
        before = seen.get((observation.agent, observation.node))
        if before is None or (before.session, before.n) != (observation.session, observation.n):
            seen[observation.agent, observation.node] = observation
        elif before.since_s > now_s:  # this machine's clock was set back
            seen[observation.agent, observation.node] = observation
    return sorted(seen.values(), key=lambda one: one.since_s)[-OBSERVED_MAX:]


def _observed(heartbeat: Event, now_s: float) -> Observation | None:
    session, count, promise = heartbeat.data.get("session"), heartbeat.data.get("n"), heartbeat.data.get("next_s")
    if not isinstance(session, str) or type(count) is not int or type(promise) not in (int, float):
        return None
    next_s = min(max(float(promise or 0), 0.0), limits.HEARTBEAT_PROMISE_S_MAX)
    age_s = now_s - (times.seconds(heartbeat.timestamp) or now_s)
    return Observation(
        heartbeat.actor,
        heartbeat.node,
        session,
        count,
        next_s,
        goodbye=heartbeat.data.get("state") == "goodbye",
        since_s=now_s,
        silent_s=age_s if age_s > SKEW_S_MAX + GONE_AFTER * next_s else 0.0,
        position=position if type(position := heartbeat.data.get("position")) is int and position > 0 else 0,
        at=heartbeat.timestamp,
        began=began if isinstance(began := heartbeat.data.get("since"), str) and times.seconds(began) else "",
    )


def state(one: Observation, at_s: float, *, poll_s: float) -> str:
    """Return the agent's state as of this node's last successful look at `at_s`. `poll_s`: time between two looks."""
    if one.goodbye:
        return GOODBYE
    silent_s = max(0.0, at_s - one.since_s) + one.silent_s
    if silent_s <= LATE_AFTER * one.next_s + poll_s:
        return ALIVE
    return LATE if silent_s <= GONE_AFTER * one.next_s + poll_s else GONE


def gone_in_s(found: Iterable[AgentLiveness], *, poll_s: float) -> float:
    """Return the seconds from the look until the next of these agents is gone, if it stays silent; or infinity."""
    lasts = (GONE_AFTER * one.next_s + poll_s - one.silent_s for one in found if one.state in (ALIVE, LATE))
    return min((last_s for last_s in lasts if last_s > 0), default=math.inf)


def newest(observations: Sequence[Observation]) -> dict[str, Observation]:
    """Return one observation for each agent (casefolded), which may have run on several nodes.

    A session that said no goodbye is preferred, then the newest one.
    """
    ranked = sorted(observations, key=lambda one: (not one.goodbye, one.since_s - one.silent_s))
    return {one.agent.casefold(): one for one in ranked}


@dataclass(frozen=True, slots=True)
class AgentLiveness:
    """An agent's liveness at this node's last look."""

    agent: str
    state: str  # ALIVE, LATE, GONE, GOODBYE
    node: str
    session: str
    silent_s: float
    next_s: float
    position: int = 0  # the ledger position up to which its node has folded
    at: str = ""  # of its newest heartbeat, by its own clock
    watched_s: float = 0.0  # since that heartbeat was first seen here, as far as this node could look
    gone_s: float = 0.0  # how much of that it has been gone, or since it said goodbye


def standings(
    observations: Sequence[Observation], at_s: float, *, poll_s: float, watched: bool = False
) -> dict[str, AgentLiveness]:
    """Return the liveness of each agent (casefolded) at the last successful look at `at_s`. Others are omitted.

    `watched`: count only silence during which this node could look. The leader judges other agents in this way: its
    own outage is nobody's silence.
    """
    found = {}
    for agent, one in newest(observations).items():
        until_s = at_s - one.blind_s if watched else at_s
        watched_s = max(0.0, at_s - one.blind_s - one.since_s)
        silent_s = max(0.0, until_s - one.since_s) + one.silent_s
        overdue_s = max(0.0, silent_s - GONE_AFTER * one.next_s - poll_s)
        found[agent] = AgentLiveness(
            one.agent,
            state(one, until_s, poll_s=poll_s),
            one.node,
            one.session,
            silent_s,
            one.next_s,
            one.position,
            one.at,
            watched_s,
            watched_s if one.goodbye else min(watched_s, overdue_s),
        )
    return found


def blind_s(last_s: float | None, now_s: float, *, poll_s: float) -> float:
    """Return the time between two successful looks beyond two polls, in which this node could not look."""
    return 0.0 if last_s is None else max(0.0, now_s - last_s - 2 * poll_s)


def shown(seen: AgentLiveness | None, *, recorded: str = SILENT, ended: str = "", looked: bool = True) -> str:
    """Return an agent's liveness: by its newest heartbeats, otherwise as the ledger has it (`recorded`).

    `ended`: the session of which its supervisor said that it ended. `looked`: whether heartbeats of anybody were seen.
    """
    if seen is None:
        return SILENT if looked and recorded == ALIVE else recorded
    return GONE if ended and seen.session == ended else seen.state


def dump(observations: Iterable[Observation]) -> list[Any]:
    return [asdict(one) for one in observations]


def load(value: Iterable[Any]) -> list[Observation]:
    """Return the observations that `dump` wrote. Raise TypeError for anything else."""
    return [Observation(**one) for one in value]
