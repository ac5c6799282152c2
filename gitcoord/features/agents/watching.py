"""Watching: the leader records which agents fell silent, said goodbye or came back.

The leader compares the heartbeats that it sees with the next one that each agent promised. If half the fleet falls
silent at once, the leader doubts its own connection and checks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, LATE, AgentLiveness
from gitcoord.features.agents.roster import Agent, State

REPORTS: Mapping[str, tuple[str, frozenset[str], str]] = {
    # liveness that the leader sees → (event to write, if the ledger has one of these states; the state in words)
    LATE: ("agent_suspected", frozenset({ALIVE}), "is late"),
    GONE: ("agent_lost", frozenset({ALIVE, LATE}), "is lost"),
    GOODBYE: ("agent_departed", frozenset({ALIVE, LATE, GONE}), "said goodbye"),
    ALIVE: ("agent_returned", frozenset({LATE, GONE, GOODBYE}), "is back"),
}

SUSPECTED_AFTER = 2.5  # promised periods: a heartbeat that is a moment late is not worth an event

News = Sequence[tuple[Agent, AgentLiveness]]


def duty(state: State, ctx: Context) -> Iterator[Duty]:
    """Yield the changes of the agents' liveness that the ledger does not hold yet."""
    news = _news(state, ctx)
    silent = [(agent, seen) for agent, seen in news if seen.state == GONE]
    if _is_mass_silence(state, ctx, silent) and _doubted_s(state, ctx, silent) is None:
        yield _doubt(state, ctx, silent)
    gone = {agent.key for agent, _ in lost(state, ctx)}
    for agent, seen in news:
        if seen.state == GONE and agent.key not in gone:
            continue
        type_, _, words = REPORTS[seen.state]
        silence = f": silent for {seen.silent_s:.1f} s" if seen.state in (LATE, GONE) else ""
        yield Duty(
            type_,
            f"{agent.id} {words}{silence}",
            f"{type_}:{agent.registration}:{agent.changes}",
            {"agent": agent.id, "session": seen.session, "silent_s": round(seen.silent_s, 1)},
            re=agent.registration,
        )


def lost(state: State, ctx: Context) -> News:
    """Return the agents to declare lost now: the ledger does not say so yet, and the leader does not doubt its view."""
    silent = [(agent, seen) for agent, seen in _news(state, ctx) if seen.state == GONE]
    return [] if _is_mass_silence(state, ctx, silent) and not _checked_again(state, ctx, silent) else silent


def _news(state: State, ctx: Context) -> News:
    return [
        (agent, seen)
        for key, agent in state.agents.items()
        if (seen := ctx.liveness.get(key)) is not None and _is_news(agent, seen, ctx)
    ]


def _is_news(agent: Agent, seen: AgentLiveness, ctx: Context) -> bool:
    if seen.state not in REPORTS or agent.liveness not in REPORTS[seen.state][1]:
        return False
    if seen.state == ALIVE:
        return seen.session != agent.ended  # its last heartbeat outlives it by a little
    if seen.state == LATE and seen.silent_s < SUSPECTED_AFTER * seen.next_s:
        return False
    return seen.state == GOODBYE or agent.key != ctx.actor.casefold()


def _is_mass_silence(state: State, ctx: Context, lost: News) -> bool:
    """Return whether two or more agents fell silent at once, and are at least half of the agents that were heard."""
    others = [
        agent
        for agent in state.agents.values()
        if agent.liveness in (ALIVE, LATE) and agent.key != ctx.actor.casefold() and agent.key in ctx.liveness
    ]
    return len(lost) >= 2 and 2 * len(lost) >= len(others)


def _doubted_s(state: State, ctx: Context, lost: News) -> float | None:
    """Return how long ago this leader doubted that these agents are lost; None if it did not.

    A doubt covers a silence that began before it. A later silence of the same agents needs a new doubt.
    """
    doubt = state.doubt
    if doubt is None or doubt.term != ctx.fleet.terms.term:
        return None
    ago_s = ctx.age_s(doubt.since, doubt.position)
    if any(agent.key in doubt.agents and seen.silent_s >= ago_s >= 0 for agent, seen in lost):
        return ago_s
    return None


def _checked_again(state: State, ctx: Context, lost: News) -> bool:
    """Return whether each of them had time for one more heartbeat after the doubt."""
    ago_s = _doubted_s(state, ctx, lost)
    return ago_s is not None and ago_s >= max(seen.next_s for _, seen in lost)


def _doubt(state: State, ctx: Context, lost: News) -> Duty:
    names = [agent.id for agent, _ in lost]
    before = state.doubt.since if state.doubt is not None else ""
    return Duty(
        "sight_doubted",
        f"{len(names)} agents fell silent at once ({', '.join(names[:5])}"
        f"{', …' if len(names) > 5 else ''}): {ctx.actor} may be the one that is cut off, so it waits and checks again",
        f"sight_doubted:{ctx.fleet.terms.term}:{before}",
        data={"agents": names},
    )
