"""Dispatch: which agent gets which ready task, by capability, then by priority, age, workload and measured speed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.features import agents
from gitcoord.features.tasks.state import State, Task

LEVELS = {"CRITICAL": 0, "HIGH": 1, "MEDIUM": 2, "LOW": 3}
RISES_AFTER_S = 600.0  # a task that waits so long rises by one level, only once, so that priorities keep their order
RESTS_S = 5.0  # pause before an agent gets a task again that it failed at; doubled with each attempt
RESTS_S_MAX = 600.0
OFFERED_AGAIN_S = 240.0  # pause after the second agent did not accept a task; doubled each time, to spare the log
OFFERED_AGAIN_S_MAX = 86_400.0
ASSIGNED_AT_ONCE = 50  # at a time: as many as a tick appends


Age = Callable[[str, int], float]
"""Seconds since an event, from its time and its position: `Context.age_s`."""


@dataclass(frozen=True, slots=True)
class Worker:
    """An agent as dispatch sees it. `held`: its tasks. `away`: why it gets no task at all; "" if it may get one."""

    id: str
    capabilities: frozenset[str]
    slots: int
    held: int
    workload: float = 0.0
    busy: bool = False  # it reports so: other agents come first
    stands_in: frozenset[str] = frozenset()  # for agents (casefolded) that are gone
    away: str = ""
    pulls: bool = False  # it claims tasks itself; the leader assigns none to it

    @property
    def full(self) -> bool:
        return self.held >= self.slots


@dataclass(frozen=True, slots=True)
class Choice:
    """One task for one agent, and `why` this agent."""

    task: Task
    agent: str
    why: str


def urgency(task: Task, age_s: Age) -> tuple[int, bool, int, str]:
    """Return the sort key of a task, so that the most urgent one is the smallest: by priority, then by age.

    A task that waits long or is overdue rises by one level. It never comes before one that is CRITICAL by itself.
    """
    own = LEVELS[task.priority]
    rises = own > 0 and (task.overdue or age_s(task.ready, task.ready_position) >= RISES_AFTER_S)
    level = own - rises
    return level, rises and level == 0, task.ready_position, task.id


def in_order(state: State, age_s: Age) -> list[Task]:
    """Return the ready tasks, most urgent first."""
    return sorted((state.tasks[uid] for uid in state.ready), key=lambda task: urgency(task, age_s))


def workers(ctx: Context) -> list[Worker]:
    """Return all registered agents as workers, in the order of their ids."""
    registered: dict[str, agents.Agent] = ctx.state("agents").agents
    held = ctx.state("tasks").held
    return [
        Worker(
            one.id,
            frozenset(one.capabilities),
            one.slots,
            len(held.get(key, ())),
            one.workload or 0.0,
            one.status in ("busy", "input-required"),
            frozenset(one.stands_in),
            agents.away(ctx, one),
            not one.accept_assignments,
        )
        for key, one in sorted(registered.items())
    ]


def assignments(
    state: State, workers: Sequence[Worker], age_s: Age, *, but: Container[str] = frozenset()
) -> Iterator[Choice]:
    """Return the assignments to make now, most urgent first, without the tasks in `but`; no agent exceeds its slots."""
    free = {one.id: one.slots - one.held for one in workers if not (one.away or one.full or one.pulls)}
    if not free or not state.ready:
        return
    known = {worker.id.casefold(): worker for worker in workers}
    by_capability = _by_capability(worker for worker in workers if worker.id in free)
    given = 0
    for task in in_order(state, age_s):
        if task.id in but or offered_again_s(task, age_s) > 0:
            continue
        found = [
            one for one in _candidates(task, by_capability, known) if free[one.id] > 0 and not rests(task, one, age_s)
        ]
        if not found:
            continue
        best = min(found, key=lambda one: _preference(state, task, one, one.slots - free[one.id]))
        yield Choice(task, best.id, _why(state, task, best, len(found), best.slots - free[best.id]))
        free[best.id] -= 1
        given += 1
        if given == ASSIGNED_AT_ONCE or not any(free.values()):
            return


def _by_capability(workers: Iterable[Worker]) -> dict[str, dict[str, Worker]]:
    """Return each capability's agents by id; "" has all agents."""
    by_capability: dict[str, dict[str, Worker]] = {}
    for worker in workers:
        for one in ("", *worker.capabilities):
            by_capability.setdefault(one, {})[worker.id] = worker
    return by_capability


def _candidates(
    task: Task, by_capability: Mapping[str, Mapping[str, Worker]], known: dict[str, Worker]
) -> Iterable[Worker]:
    """Return the agents that have all that a task needs; only the preferred agent, if it is available."""
    rarest = min((by_capability.get(need, {}) for need in task.needs), key=len, default=by_capability[""])
    preferred = known.get(task.preferred.casefold()) if task.preferred is not None else None
    if preferred is not None and not preferred.away and not lacks(preferred, task):
        return [preferred] if preferred.id in rarest else []
    return [one for one in rarest.values() if not lacks(one, task)]


def unfit(task: Task, worker: Worker, workers: Sequence[Worker], age_s: Age) -> str:
    """Return why this agent is not given the task; "" if it may get it."""
    known = {one.id.casefold(): one for one in workers}
    return (
        lacks(worker, task)
        or worker.away
        or ("it claims its tasks itself" if worker.pulls else "")
        or reserved(task, worker, known)
        or rests(task, worker, age_s)
        or (f"it is full ({worker.held} of {worker.slots})" if worker.full else "")
    )


def lacks(worker: Worker, task: Task) -> str:
    """Return which capabilities the worker lacks for the task, in words; "" if it has all."""
    missing = [one for one in task.needs if one not in worker.capabilities]
    return f"it lacks {', '.join(missing)}" if missing else ""


def reserved(task: Task, worker: Worker, known: dict[str, Worker]) -> str:
    """Return why the task waits for its preferred agent; "" if `worker` is that agent, or if that one is away.

    `known`: all workers by their casefolded ids.
    """
    if task.preferred is None or task.preferred.casefold() == worker.id.casefold():
        return ""
    preferred = known.get(task.preferred.casefold())
    return f"it is meant for {preferred.id}" if preferred and not preferred.away and not lacks(preferred, task) else ""


def rests(task: Task, worker: Worker, age_s: Age) -> str:
    """Return why an agent that failed at the task must wait before its next attempt; "" if it may try now."""
    before = [one for one in task.attempts if one.agent.casefold() == worker.id.casefold()]
    if not before:
        return ""
    rest_s = min(RESTS_S * 2 ** min(task.attempt - 1, 20), RESTS_S_MAX)
    if age_s(before[-1].until, before[-1].position) >= rest_s:
        return ""
    return f"its last attempt was {before[-1].outcome}: it may try again after {times.in_words(rest_s)}"


def offered_again_s(task: Task, age_s: Age) -> float:
    """Return the seconds until a task that several agents did not accept is assigned again; 0 if it may be now."""
    offers = 0
    for one in reversed(task.attempts):
        if one.outcome != "unaccepted":
            break
        offers += 1
    if offers < 2:  # one agent that does not poll says nothing about the next one
        return 0.0
    pause_s: float = min(OFFERED_AGAIN_S * 2 ** min(offers - 2, 20), OFFERED_AGAIN_S_MAX)
    return max(0.0, pause_s - age_s(task.last.until, task.last.position))


_Preference = tuple[bool, bool, bool, float, float, float, str]


def _preference(state: State, task: Task, worker: Worker, held: int) -> _Preference:
    """Return the sort key of a worker for a task: the smallest is the best."""
    tried = any(one.agent.casefold() == worker.id.casefold() for one in task.attempts)
    preferred = task.preferred is not None and task.preferred.casefold() == worker.id.casefold()
    replaces_last = bool(task.attempts) and task.last.agent.casefold() in worker.stands_in
    speed_s = mean_s(state, worker.id, task)
    return (
        not (preferred or replaces_last),
        tried,
        worker.busy,
        held / worker.slots,
        worker.workload,
        speed_s if speed_s is not None else 0.0,  # an agent without a measured speed comes first, to be measured
        worker.id,
    )


def mean_s(state: State, agent: str, task: Task) -> float | None:
    """Return the mean duration of the agent's finished tasks of this kind; None if there are none."""
    known = state.speeds.get(agent.casefold(), {})
    means = [known[one][1] for one in task.needs or [""] if one in known]
    return sum(means) / len(means) if means else None


def _why(state: State, task: Task, worker: Worker, candidates: int, held: int) -> str:
    reasons = [f"has {', '.join(task.needs)}"] if task.needs else []
    if task.preferred is not None and task.preferred.casefold() == worker.id.casefold():
        reasons.append("is the preferred agent")
    reasons.append(f"{held} of {worker.slots} slots taken")
    speed_s = mean_s(state, worker.id, task)
    if speed_s is not None:
        reasons.append(f"takes {speed_s:.1f} s on average")
    reasons.append("the only one free" if candidates == 1 else f"best of {candidates}")
    return ", ".join(reasons)[:500]
