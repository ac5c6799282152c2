"""Leases: how long an agent keeps a task of which it gives no sign of life.

Heartbeats of its session, and what it writes in the ledger, are signs of life. A fold sees no silence, so the leader
decides: it takes back what an agent has whose session ended, after a grace, and what an agent has that runs nowhere and
has written nothing for the time of a lease. Only time in which the leader could look counts.
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
    """What is left of a lease whose holder sends no heartbeats.

    `crashed`: its process did not end well. `stale`: worth telling, because an agent of the command line need not write
    often.
    """

    left_s: float
    why: str
    crashed: bool
    stale: bool

    @property
    def note(self) -> str:
        """Return what people see of a held task."""
        when = f"in {times.roughly(self.left_s)}" if self.left_s > 0 else "now"
        return f"held, holder gone ({self.why}), goes back {when}"


def of(state: State, task: Task, ctx: Context) -> Lease | None:
    """Return the lease of a task, as far as it is running out; None while its holder gives signs of life.

    A task that is only assigned has no lease: its agent must accept it in time.
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
    """Return the lease of an agent that has tasks; None while it gives signs of life.

    `idle_s`: since it was heard. `watching_s`: since when the one who judges looks at the remote without a gap.
    """
    if seen is not None and seen.state in (ALIVE, LATE):
        return None
    if seen is None or _wrote_later(seen, heard):
        # What it wrote may wait on its disk while the remote cannot be reached: after an outage it has the grace.
        left_s = max(lease_s - idle_s, grace_s - watching_s)
        words = f"{holder} runs nowhere, and wrote nothing for {times.roughly(idle_s)}"
        return Lease(left_s, words, crashed=False, stale=idle_s >= lease_s / 2)
    words = "said goodbye" if seen.state == GOODBYE else "is gone"
    return Lease(grace_s - min(seen.gone_s, idle_s), f"{holder} {words}", crashed=seen.state == GONE, stale=True)


def _seen(ctx: Context, agent: str) -> AgentLiveness | None:
    """Return how alive the agent's newest session is, whose end its supervisor may know first; None if it had none."""
    seen, known = ctx.liveness.get(agent.casefold()), agents.get(ctx, agent)
    ended = seen is not None and known is not None and known.ended == seen.session
    return replace(seen, state=GONE) if seen is not None and ended and seen.state in (ALIVE, LATE) else seen


def _wrote_later(seen: AgentLiveness, heard: Heard) -> bool:
    """Return whether the agent wrote in the ledger after its session had ended, so that it goes on without one.

    Both times are by its machine's clock. A session that was killed may have written until its next heartbeat was due.
    """
    due_s = 0.0 if seen.state == GOODBYE else LATE_AFTER * seen.next_s
    return seen.at != "" and times.between_s(seen.at, heard.written) > due_s
