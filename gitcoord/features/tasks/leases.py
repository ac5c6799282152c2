"""Leases: how long an agent keeps a task while it shows no sign of life.

Signs of life are the heartbeats of its session, and its events in the ledger. A fold cannot see silence, so the leader
decides. If an agent's session ended, its tasks are released after a grace. If an agent has no session and wrote no
event for the span of a lease, they are released too. Only time in which the leader saw the remote counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, LATE, LATE_AFTER, AgentLiveness
from gitcoord.features import agents
from gitcoord.features.tasks.state import ASSIGNED, HELD, Heard, State, Task


@dataclass(frozen=True, slots=True)
class Lease:
    """The rest of a lease whose holder sends no heartbeats; `left_s` is negative when it has ended.

    `crashed`: its process ended without a goodbye. `stale`: worth showing; an agent without a session writes seldom, so
    its lease is stale only after half of its span.
    """

    left_s: float
    why: str
    crashed: bool
    stale: bool

    @property
    def note(self) -> str:
        """Return the lease in words, for a list of tasks."""
        when = f"in {times.roughly(self.left_s)}" if self.left_s > 0 else "now"
        return f"held, holder gone ({self.why}), goes back {when}"


def of(state: State, task: Task, ctx: Context) -> Lease | None:
    """Return the lease of a task that is running out; None while its holder shows signs of life.

    A task that is only assigned has no lease: another limit is set for its acceptance.
    """
    if task.status not in HELD or task.status == ASSIGNED or not ctx.liveness:
        return None
    holder = task.last.agent
    seen = _seen(ctx, holder)
    if seen is not None and seen.state in (ALIVE, LATE):
        return None
    heard, settings = state.heard[holder.casefold()], ctx.state("settings").settings
    return judged(
        holder,
        heard,
        seen,
        idle_s=max(0.0, ctx.age_s(heard.at, heard.position)),
        grace_s=settings.task_grace_s,
        lease_s=settings.task_lease_s,
        watching_s=ctx.watching_s,
    )


def judged(
    holder: str,
    heard: Heard,
    seen: AgentLiveness | None,
    *,
    idle_s: float,
    grace_s: float,
    lease_s: float,
    watching_s: float = math.inf,
) -> Lease | None:
    """Return the lease of an agent that has tasks; None while it shows signs of life.

    `idle_s`: seconds since its newest event. `watching_s`: seconds for which the caller has seen the remote without a
    gap.
    """
    if seen is not None and seen.state in (ALIVE, LATE):
        return None
    if heard.ended:
        return Lease(grace_s - idle_s, f"{holder}'s session ended", crashed=False, stale=True)
    if seen is None or _wrote_later(seen, heard):
        # During an outage its events wait in its queue, so it has the grace afterwards.
        left_s = max(lease_s - idle_s, grace_s - watching_s)
        words = f"{holder} runs nowhere, and wrote nothing for {times.roughly(idle_s)}"
        return Lease(left_s, words, crashed=False, stale=idle_s >= lease_s / 2)
    words = "said goodbye" if seen.state == GOODBYE else "is gone"
    return Lease(grace_s - min(seen.gone_s, idle_s), f"{holder} {words}", crashed=seen.state == GONE, stale=True)


def session_ended_s(ctx: Context, agent: str, heard: Heard) -> float | None:
    """Return how long ago the agent's session ended, as far as this node watched.

    None while it lives, if it had none, and if the agent wrote in the ledger after that: it goes on without one.
    """
    seen = _seen(ctx, agent)
    if seen is None or seen.state in (ALIVE, LATE) or _wrote_later(seen, heard):
        return None
    return seen.gone_s


def _seen(ctx: Context, agent: str) -> AgentLiveness | None:
    """Return the liveness of the agent's newest session; None if it had none.

    Its supervisor may report its end first.
    """
    seen, known = ctx.liveness.get(agent.casefold()), agents.get(ctx, agent)
    ended = seen is not None and known is not None and known.ended == seen.session
    return replace(seen, state=GONE) if seen is not None and ended and seen.state in (ALIVE, LATE) else seen


def _wrote_later(seen: AgentLiveness, heard: Heard) -> bool:
    """Return whether the agent wrote an event after its session had ended, so that it goes on without a session.

    Both times are from the clock of its machine. A killed session may have written until its next heartbeat was due.
    """
    due_s = 0.0 if seen.state == GOODBYE else LATE_AFTER * seen.next_s
    return seen.at != "" and times.between_s(seen.at, heard.written) > due_s
