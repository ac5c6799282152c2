"""Watching: the leader tells the ledger who fell silent, said goodbye or came back; half a fleet makes it doubt itself.

All of it is by the leader's own look at the others' heartbeats, against what each of them promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, LATE, AgentLiveness
from gitcoord.features.agents.roster import Agent, State

TOLD: Mapping[str, tuple[str, frozenset[str], str]] = {
    # as the leader sees it: (the event, where the ledger says one of these, in words)
    LATE: ("agent_suspected", frozenset({ALIVE}), "is late"),
    GONE: ("agent_lost", frozenset({ALIVE, LATE}), "is lost"),
    GOODBYE: ("agent_departed", frozenset({ALIVE, LATE, GONE}), "said goodbye"),
    ALIVE: ("agent_returned", frozenset({LATE, GONE, GOODBYE}), "is back"),
}

SUSPECTED_AFTER = 2.5  # promises: who is late and comes a moment later is no news

News = Sequence[tuple[Agent, AgentLiveness]]


def duty(state: State, ctx: Context) -> Iterator[Duty]:
    """Yield the changes of the agents' liveness that the ledger does not hold yet."""
    news = _news(state, ctx)
    silent = [(agent, standing) for agent, standing in news if standing.state == GONE]
    if _too_many(state, ctx, silent) and _doubted_s(state, ctx, silent) is None:
        yield _doubt(state, ctx, silent)
    gone = {agent.key for agent, _ in lost(state, ctx)}
    for agent, standing in news:
        if standing.state == GONE and agent.key not in gone:
            continue
        type_, _, words = TOLD[standing.state]
        silence = f": silent for {standing.silent_s:.1f} s" if standing.state in (LATE, GONE) else ""
        yield Duty(
            type_,
            f"{agent.id} {words}{silence}",
            f"{type_}:{agent.registration}:{agent.changes}",
            {"agent": agent.id, "session": standing.session, "silent_s": round(standing.silent_s, 1)},
            re=agent.registration,
        )


def lost(state: State, ctx: Context) -> News:
    """Return the agents to declare lost now: the ledger does not say so yet, and the leader does not doubt its view."""
    silent = [(agent, standing) for agent, standing in _news(state, ctx) if standing.state == GONE]
    return [] if _too_many(state, ctx, silent) and not _has_looked_again(state, ctx, silent) else silent


def _news(state: State, ctx: Context) -> News:
    return [
        (agent, standing)
        for key, agent in state.agents.items()
        if (standing := ctx.liveness.get(key)) is not None and _is_news(agent, standing, ctx)
    ]


def _is_news(agent: Agent, standing: AgentLiveness, ctx: Context) -> bool:
    if standing.state not in TOLD or agent.liveness not in TOLD[standing.state][1]:
        return False
    if standing.state == ALIVE:
        return standing.session != agent.ended  # its last heartbeat outlives it by a little
    if standing.state == LATE and standing.silent_s < SUSPECTED_AFTER * standing.next_s:
        return False
    return standing.state == GOODBYE or agent.key != ctx.actor.casefold()


def _too_many(state: State, ctx: Context, lost: News) -> bool:
    """Return whether two or more agents fell silent at once, and are at least half of the agents that were heard."""
    others = [
        agent
        for agent in state.agents.values()
        if agent.liveness in (ALIVE, LATE) and agent.key != ctx.actor.casefold() and agent.key in ctx.liveness
    ]
    return len(lost) >= 2 and 2 * len(lost) >= len(others)


def _doubted_s(state: State, ctx: Context, lost: News) -> float | None:
    """Return how long ago this leader doubted that these agents are lost; None if it did not.

    A doubt is about a silence that began before it: after another one of the same agents, it doubts again.
    """
    doubt = state.doubt
    if doubt is None or doubt.term != ctx.fleet.terms.term:
        return None
    ago_s = ctx.age_s(doubt.since, doubt.position)
    if any(agent.key in doubt.agents and standing.silent_s >= ago_s >= 0 for agent, standing in lost):
        return ago_s
    return None


def _has_looked_again(state: State, ctx: Context, lost: News) -> bool:
    """Return whether each of them had the time to be heard once more after the doubt."""
    ago_s = _doubted_s(state, ctx, lost)
    return ago_s is not None and ago_s >= max(standing.next_s for _, standing in lost)


def _doubt(state: State, ctx: Context, lost: News) -> Duty:
    names = [agent.id for agent, _ in lost]
    before = state.doubt.since if state.doubt is not None else ""
    return Duty(
        "sight_doubted",
        f"{len(names)} agents fell silent at once ({', '.join(names[:5])}"
        f"{', …' if len(names) > 5 else ''}): it may be {ctx.actor} that hears badly, so it looks again",
        f"sight_doubted:{ctx.fleet.terms.term}:{before}",
        data={"agents": names},
    )
