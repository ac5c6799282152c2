"""A task and its attempts, and all tasks of a fleet with the indices that keep a fold quick."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gitcoord.core import times
from gitcoord.core.fold import quotas

CREATED, READY, ASSIGNED, ACCEPTED, RUNNING = "created", "ready", "assigned", "accepted", "running"
INPUT_REQUIRED, DONE, FAILED, CANCELLED = "input-required", "done", "failed", "cancelled"

HELD = (ASSIGNED, ACCEPTED, RUNNING, INPUT_REQUIRED)  # an agent has it
OVER = (DONE, FAILED, CANCELLED)
STATUSES = (CREATED, READY, *HELD, *OVER)

OPEN_MAX = 20_000  # open tasks: an hour's work for a hundred agents that take 18 s for each
OPEN_BYTES_MAX = 16 * 1024 * 1024  # of events of open tasks: every command reads the state
OVER_MAX = 1000  # closed tasks that are still known; the ledger has the others
OVER_BYTES_MAX = 4 * 1024 * 1024
DEPENDANTS_MAX = 500  # tasks that wait for one: all of them become ready with one event
REASON_KEPT = 500  # characters of a reason; the event has all of it
KEYS_MAX = 500  # of one author, more than a file of tasks can have
KEY_AUTHORS_MAX = 200
SPEEDS_MAX = 50  # capabilities of one agent whose speed is known
SPEED_AGENTS_MAX = 2000
SPEED_WEIGHT = 20  # attempts in a moving mean: older ones count less and less


@dataclass(slots=True)
class Attempt:
    """One agent's try at a task. Times are those of the events; `outcome` is empty while the attempt is open."""

    agent: str
    since: str
    why: str = ""  # why the leader chose this agent; empty if the agent claimed the task
    started: str = ""
    until: str = ""
    outcome: str = ""  # done, failed, released, unaccepted, cancelled
    reason: str = ""
    late: str = ""  # the agent's report after the attempt was closed
    position: int = 0  # of the event that gave it, started it or ended it
    node: str = ""  # where its agent works on it
    place: str = ""  # the linked work tree there; "" is the clone's own, or not known
    branch: str = ""


@dataclass(slots=True)
class Task:
    """A task as the ledger has it. `size`: the length of the events whose text it has, in bytes."""

    id: str
    title: str
    created: str
    created_by: str
    status: str = READY
    body: str = ""
    needs: list[str] = field(default_factory=list)
    priority: str = "MEDIUM"
    deadline: str | None = None
    after: list[str] = field(default_factory=list)
    attempts_max: int = 3
    timeout_s: float | None = None
    preferred: str | None = None  # the preferred agent
    workflow: dict[str, str] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    waits: list[str] = field(default_factory=list)  # tasks in `after` that are not done
    ready: str = ""  # when it first became ready
    ready_position: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    failures: int = 0  # attempts that count against `attempts_max`
    overdue: bool = False
    share: float = 0.0
    text: str = ""  # the newest progress, or what input is asked for
    over: str = ""  # when it was closed
    reason: str = ""  # why it failed or was cancelled
    result: str = ""
    artifacts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    branch: str = ""  # where the work is
    pull_request: int | None = None
    comments: list[int] = field(default_factory=list)  # positions of the newest ones: the log has their text
    size: int = 0

    @property
    def attempt(self) -> int:
        """Return the number of the newest attempt; 0 if there was none."""
        return len(self.attempts)

    @property
    def agent(self) -> str | None:
        """Return the agent that has or had the task."""
        return self.attempts[-1].agent if self.status in HELD or self.status == DONE else None

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]


class Heard(NamedTuple):
    """The newest event of an agent that has a task: its accepted time, its position, the time that its author wrote.

    `ended`: it says that the agent's session has ended.
    """

    at: str
    position: int
    written: str
    ended: bool = False


@dataclass(slots=True)
class State:
    """All tasks by id, oldest first, and indices of them."""

    tasks: dict[str, Task] = field(default_factory=dict)
    over: dict[str, None] = field(default_factory=dict)  # closed tasks, in the order in which they were closed
    speeds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By agent (casefolded) and capability ("" for tasks that need none): how many, and their mean seconds."""

    ready: dict[str, None] = field(default_factory=dict)
    held: dict[str, dict[str, None]] = field(default_factory=dict)  # by agent (casefolded)
    dated: dict[str, None] = field(default_factory=dict)  # open tasks whose deadline has not passed
    dependants: dict[str, dict[str, None]] = field(default_factory=dict)  # open tasks that wait for this one
    heard: dict[str, Heard] = field(default_factory=dict)  # by agent (casefolded) that has a task
    by_author: dict[str, list[int]] = field(default_factory=dict)
    """By author: how many of its tasks are open, and their bytes; without those that workflows make."""

    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    """By author (casefolded) and key: the task. A retry of a command that was killed finds it here."""

    open_bytes: int = 0
    over_bytes: int = 0

    def put(self, task: Task) -> None:
        """Add a task: a new one, or one from a checkpoint."""
        self.tasks[task.id] = task
        if task.status in OVER:
            self.over[task.id] = None
            self.over_bytes += task.size
            return
        self._count(task, 1)
        if task.status == READY:
            self.ready[task.id] = None
        elif task.status in HELD:
            self.held.setdefault(task.last.agent.casefold(), {})[task.id] = None
        if task.deadline is not None and not task.overdue:
            self.dated[task.id] = None
        for uid in task.waits:
            self.dependants.setdefault(uid, {})[task.id] = None

    def resize(self, task: Task, bytes_more: int) -> None:
        """Count more bytes of text, or fewer, for an open task."""
        self._count(task, -1)
        task.size += bytes_more
        self._count(task, 1)

    def reopen(self, task: Task, waits: list[str], *, at: str, position: int) -> None:
        """Make a closed task ready, or let it wait for the tasks in `waits`. Its attempts are kept; none counts."""
        del self.over[task.id]
        self.over_bytes -= task.size
        task.status, task.waits = CREATED if waits else READY, waits
        task.ready, task.ready_position = ("", 0) if waits else (at, position)
        task.failures, task.share, task.over, task.reason, task.text, task.result = 0, 0.0, "", "", "", ""
        task.artifacts = []
        self.put(task)

    def _count(self, task: Task, sign: int) -> None:
        self.open_bytes += sign * task.size
        if task.workflow is None:
            mine = self.by_author.setdefault(task.created_by, [0, 0])
            mine[0] += sign
            mine[1] += sign * task.size
            if not mine[0]:
                del self.by_author[task.created_by]

    def keyed(self, author: str, key: str | None) -> str | None:
        """Return the id of the author's task with that key, if it is known."""
        return self.keys.get(author.casefold(), {}).get(key) if key is not None else None

    def note_key(self, author: str, key: str, uid: str) -> None:
        """Keep the newest keys of each author, and the newest authors."""
        known = self.keys.pop(author.casefold(), {})
        known[key] = uid
        self.keys[author.casefold()] = known
        if len(known) > KEYS_MAX:
            del known[next(iter(known))]
        if len(self.keys) > KEY_AUTHORS_MAX:
            del self.keys[next(iter(self.keys))]

    def full(self, author: str, bytes_more: int) -> str | None:
        """Return why an author may not open another task; None if it may."""
        tasks, _ = self.by_author.get(author, (0, 0))
        if tasks >= quotas.TASKS_OPEN:
            return quotas.full(author, "tasks open", quotas.TASKS_OPEN, "finish or cancel some")
        return self.full_of_bytes(author, bytes_more)

    def full_of_bytes(self, author: str, bytes_more: int) -> str | None:
        """Return why an author's open tasks may not hold so many more bytes; None if they may."""
        _, held = self.by_author.get(author, (0, 0))
        if held + bytes_more > quotas.TASK_BYTES_OPEN:
            return quotas.full(
                author,
                "bytes of open tasks",
                quotas.TASK_BYTES_OPEN,
                "finish or cancel some, and keep long texts in files",
            )
        return None

    def give(self, task: Task, agent: str, *, at: str, position: int, status: str, why: str = "") -> None:
        """Start a new attempt."""
        self.ready.pop(task.id, None)
        self.heard.setdefault(agent.casefold(), Heard(at, position, at))
        self.held.setdefault(agent.casefold(), {})[task.id] = None
        task.attempts.append(Attempt(agent, at, why, position=position))
        task.status, task.share, task.text = status, 0.0, ""

    def take_back(self, task: Task, outcome: str, *, at: str, position: int, reason: str) -> None:
        """Close the attempt; the caller decides the task's next status."""
        last = task.last
        holding = self.held[last.agent.casefold()]
        del holding[task.id]
        if not holding:
            del self.held[last.agent.casefold()]
            self.heard.pop(last.agent.casefold(), None)
        last.until, last.outcome, last.reason, last.position = at, outcome, reason, position

    def make_ready(self, task: Task, *, at: str, position: int) -> None:
        if not task.ready:
            task.ready, task.ready_position = at, position
        task.status = READY
        self.ready[task.id] = None

    def end(self, task: Task, status: str, *, at: str, position: int, bytes_more: int = 0) -> None:
        """Close the task. If it is done, tasks that waited for it become ready. Forget the oldest closed tasks."""
        self.ready.pop(task.id, None)
        self.dated.pop(task.id, None)
        for uid in task.waits:
            others = self.dependants[uid]
            del others[task.id]
            if not others:
                del self.dependants[uid]
        task.status, task.over = status, at
        self._count(task, -1)
        task.size += bytes_more
        self.over[task.id] = None
        self.over_bytes += task.size
        if status == DONE:
            for uid in self.dependants.pop(task.id, ()):
                other = self.tasks[uid]
                other.waits.remove(task.id)
                if not other.waits:
                    self.make_ready(other, at=at, position=position)
        while len(self.over) > OVER_MAX or (self.over_bytes > OVER_BYTES_MAX and len(self.over) > 1):
            oldest = next(iter(self.over))
            del self.over[oldest]
            self.over_bytes -= self.tasks.pop(oldest).size

    def note_speed(self, agent: str, needs: Iterable[str], duration_s: float) -> None:
        known = self.speeds.setdefault(agent.casefold(), {})
        if len(self.speeds) > SPEED_AGENTS_MAX:
            del self.speeds[next(iter(self.speeds))]
        for capability in list(needs) or [""]:
            count, mean_s = known.pop(capability, [0, 0.0])
            mean_s += (duration_s - mean_s) / min(count + 1, SPEED_WEIGHT)
            known[capability] = [count + 1, round(mean_s, 3)]
        while len(known) > SPEEDS_MAX:
            del known[next(iter(known))]


UNKNOWN = "no task has this id: it never existed, or it was closed long ago"


def describe(task: Task) -> str:
    """Return the task's status in words, as the reason of a refusal."""
    if task.status in HELD:
        return f"{task.last.agent} has it ({task.status}, attempt {task.attempt}, since {times.shown(task.last.since)})"
    if task.status == DONE:
        return f"it is done, by {task.last.agent} on {times.shown(task.over)}"
    if task.status in (FAILED, CANCELLED):
        return f"it {'has failed' if task.status == FAILED else 'was cancelled'} ({task.reason})"
    return "it is ready" if task.status == READY else f"it waits for {', '.join(uid[:8] for uid in task.waits[:5])}"


def in_a_line(task: Task) -> str:
    """Return `describe(task)` in one line: of many lines, such as a traceback, only the first and the last."""
    lines = describe(task).splitlines()
    return lines[0] if len(lines) == 1 else f"{lines[0]}{': ' if len(lines) == 2 else ' … '}{lines[-1].strip()}"
