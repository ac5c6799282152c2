"""Liveness: an agent is as alive as its own last promise says, timed from when this node first saw that heartbeat.

Clocks of two machines are not compared: what counts is how long ago, by this machine, a heartbeat's counter last moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gitcoord.core import limits, times
from gitcoord.core.format.event import Event

ALIVE, LATE, GONE, GOODBYE, SILENT = "alive", "late", "gone", "goodbye", "silent"

LATE_AFTER = 1.5  # promises; a heartbeat may wait for a push budget or a slow round
GONE_AFTER = 3.0
HUNG_AFTER = 15.0  # of an agent whose process is known to live: a machine may be busy
SKEW_S_MAX = 2 * 3600  # an outbox met for the first time: only a heartbeat older than any clock error tells its age
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
    silent_s: float = 0.0  # how old it was known to be even then
    position: int = 0  # of the ledger, as far as its node had folded it
    blind_s: float = 0.0  # of the time since then, how long nobody here could look


def observe(
    known: Iterable[Observation], heartbeats: Iterable[Event], now_s: float, *, blind_s: float = 0.0
) -> list[Observation]:
    """What is known after a look at all outboxes at `now_s`: heartbeats that moved on are seen anew.

    An agent whose outbox went away keeps its last observation, so that it grows late and gone. `blind_s`: how long
    it was since the last look, beyond what lies between two looks.
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
    )


def state(one: Observation, at_s: float, *, poll_s: float) -> str:
    """How the agent stands, as of this node's last successful look at `at_s`; `poll_s` lies between two looks."""
    if one.goodbye:
        return GOODBYE
    silent_s = max(0.0, at_s - one.since_s) + one.silent_s
    if silent_s <= LATE_AFTER * one.next_s + poll_s:
        return ALIVE
    return LATE if silent_s <= GONE_AFTER * one.next_s + poll_s else GONE


def gone_in_s(found: Iterable[AgentLiveness], *, poll_s: float) -> float:
    """From the look until the next of these is gone, unless it is heard of before; infinite where none will be."""
    lasts = (GONE_AFTER * one.next_s + poll_s - one.silent_s for one in found if one.state in (ALIVE, LATE))
    return min((last_s for last_s in lasts if last_s > 0), default=math.inf)


def newest(observations: Sequence[Observation]) -> dict[str, Observation]:
    """By agent (casefolded): the observation that speaks for it, should it have run on several nodes.

    A session that goes on counts for more than one that said goodbye, the one seen last for more than an older one.
    """
    ranked = sorted(observations, key=lambda one: (not one.goodbye, one.since_s - one.silent_s))
    return {one.agent.casefold(): one for one in ranked}


@dataclass(frozen=True, slots=True)
class AgentLiveness:
    """How an agent stood at this node's last look."""

    agent: str
    state: str  # ALIVE, LATE, GONE, GOODBYE
    node: str
    session: str
    silent_s: float
    next_s: float
    position: int = 0  # of the ledger, as far as its node has folded it


def standings(
    observations: Sequence[Observation], at_s: float, *, poll_s: float, watched: bool = False
) -> dict[str, AgentLiveness]:
    """By agent (casefolded), as of the last successful look at `at_s`. Agents without a heartbeat are omitted.

    `watched`: only silence that was listened to counts; one's own outage is nobody's. Who judges others looks so.
    """
    found = {}
    for agent, one in newest(observations).items():
        until_s = at_s - one.blind_s if watched else at_s
        found[agent] = AgentLiveness(
            one.agent,
            state(one, until_s, poll_s=poll_s),
            one.node,
            one.session,
            max(0.0, until_s - one.since_s) + one.silent_s,
            one.next_s,
            one.position,
        )
    return found


def blind_s(last_s: float | None, now_s: float, *, poll_s: float) -> float:
    """Between two successful looks: what is more than two polls, as for a follower's credit."""
    return 0.0 if last_s is None else max(0.0, now_s - last_s - 2 * poll_s)


def dump(observations: Iterable[Observation]) -> list[Any]:
    return [asdict(one) for one in observations]


def load(value: Iterable[Any]) -> list[Observation]:
    """Raises TypeError on anything that `dump` did not write."""
    return [Observation(**one) for one in value]
