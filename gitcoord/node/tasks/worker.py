"""A worker: an agent does the tasks that the fleet assigns to it, each as a command, several at a time.

An attempt counts by its number: another agent repeats what a killed one had begun, and a late result of the old attempt
changes nothing. A run that finds abandoned attempts of an earlier one ends them and gives them back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import queries as task_queries
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.state import Task
from gitcoord.features.typed import PRIORITIES
from gitcoord.node.guards import describe_error
from gitcoord.node.node import Node
from gitcoord.node.operations import submit
from gitcoord.node.process import TERM_S
from gitcoord.node.tasks import attempt, workspace
from gitcoord.node.tasks.attempt import RunningAttempt

LIMIT_S = 3600.0  # of an attempt, unless the task or the command line sets another
PROGRESS_S = 5.0  # between two progress events: each is kept forever
DISK_RETRY_S = 1.0
TEXTS = ("reason", "result", "text")  # fields of a task's events that hold a command's, or a person's, text


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How an agent works. `command` as one text goes to the shell."""

    command: str | Sequence[str]
    slots: int = 1
    limit_s: float = LIMIT_S
    worktree: bool = False
    top: Path = Path()  # of the user's work tree
    pass_env: Sequence[str] = ()  # variables that the command gets although they look like credentials


class TaskWorker:
    """One agent's work. `agent run` calls it between two rounds."""

    def __init__(self, node: Node, agent: str, config: WorkerConfig, *, say: Callable[[str, str], None]) -> None:
        self.node = node
        self.agent = agent
        self.config = config
        self.say = say
        self.attempts: dict[str, RunningAttempt] = {}
        self.resting = False  # it takes on nothing more
        self._told_s: dict[str, float] = {}
        self._not_before_s = 0.0
        self._seen: object = None
        self._done = _reported(node, agent)  # tasks whose attempt is over here, though the ledger may not show it yet
        for left in workspace.clear(node.home.path, config.top, agent):
            self._say_left(left.task, left.left)
            self._tell(
                left.task,
                "task_released",
                "its agent ended in the middle of it",
                {"attempt": left.attempt, "reason": "its agent ended in the middle of it"},
            )
            self._done[left.task] = left.attempt

    @property
    def busy(self) -> bool:
        return bool(self.attempts)

    def is_due(self, now_s: float) -> bool:
        """Return whether `step` has something to do although no round brought news."""
        if now_s < self._not_before_s:
            return False
        return any(
            one.command.code is not None
            or one.command.floods
            or not one.output.notes.empty()
            or now_s - one.since_s > one.limit_s
            or one.asked_at_s is not None
            for one in self.attempts.values()
        )

    def step(self, now_s: float) -> bool:
        """Look after what runs, and begin what is new. Return True if anything was begun or ended."""
        if now_s < self._not_before_s:
            return False
        did = [self._tried(partial(self._look_after, one), now_s) for one in list(self.attempts.values())]
        return any(did) or now_s >= self._not_before_s and self._tried(self._begin, now_s)

    def _tried(self, part: Callable[[float], bool], now_s: float) -> bool:
        """Run a part that the disk or a lock may refuse: the ended command does not run again for that, and others do
        not wait."""
        try:
            return part(now_s)
        except (GitcoordError, OSError) as wrong:
            self._not_before_s = now_s + DISK_RETRY_S
            self.say("work_waits", str(wrong))
            return False

    # Beginning

    def _begin(self, now_s: float) -> bool:
        """Begin one task that waits for this agent, the most urgent first."""
        if self.resting or len(self.attempts) >= self.config.slots or self._seen == self.node.fleet.digest:
            return False
        waiting = self._waiting()
        if not waiting:
            self._seen = self.node.fleet.digest
            return False
        self._start(waiting[0], now_s)
        return True

    def _waiting(self) -> list[Task]:
        """Return the tasks that the leader assigned to this agent and that are not begun. Tasks that people claim as
        this agent are theirs."""
        state = self.node.fleet.states["tasks"]
        held = [state.tasks[uid] for uid in state.held.get(self.agent.casefold(), ())]
        return sorted(
            (
                task
                for task in held
                if task.status == task_state.ASSIGNED
                and task.id not in self.attempts
                and self._done.get(task.id, 0) < task.attempt
            ),
            key=lambda task: (PRIORITIES.index(task.priority), task.ready),
        )

    def _start(self, task: Task, now_s: float) -> None:
        limit_s = min(task.timeout_s or self.config.limit_s, self.config.limit_s)
        place = None
        try:
            place = workspace.make(
                self.node.home.path,
                self.config.top,
                self.agent,
                task.id,
                task.title,
                task.attempt,
                worktree=self.config.worktree,
            )
            shown = task_queries.to_row(submit.context(self.node, self.agent), task)
            place.occupied_by(0, task.id, task.attempt, self.agent)
            begun = attempt.start(
                self.config.command,
                shown,
                task.attempt,
                self.agent,
                place,
                now_s=now_s,
                limit_s=limit_s,
                pass_env=self.config.pass_env,
            )
        except Exception as wrong:  # whatever a task holds fails its attempt, and neither this process nor other tasks
            if place is not None:
                place.leave()
            self._done[task.id] = task.attempt
            reason = str(wrong) if isinstance(wrong, OSError) else describe_error(wrong)
            self.say("task", f"{task.id[:8]} could not be started: {reason}")
            self._tell(
                task.id,
                "task_failed",
                f"{task.title}: could not be started",
                {"attempt": task.attempt, "reason": f"could not be started: {reason}"},
            )
            return
        self.attempts[task.id] = begun
        with contextlib.suppress(OSError):  # the first note, without a process id, already finds it by its folder
            place.occupied_by(begun.command.pid, task.id, task.attempt, self.agent)
        self.say("task", f"{task.id[:8]} begins: {task.title}")
        told: dict[str, Any] = {"attempt": task.attempt}
        if place.branch:
            told |= {"place": place.folder.name, "branch": place.branch}
        self._tell(task.id, "task_started", f"{self.agent} starts {task.title}", told)

    # Going on

    def _look_after(self, one: RunningAttempt, now_s: float) -> bool:
        """Look after one attempt. Return True if it ended."""
        one.look(now_s)
        if not one.dropped and self._is_taken_away(one):
            one.dropped = True
            self.say("task", f"{one.task[:8]} is no longer {self.agent}'s: its command is ended")
            one.ask_to_end(now_s)
        if one.command.code is None:
            self._tell_progress(one, now_s)
            return False
        one.command.end()
        if not one.dropped:
            self._conclude(one)
        self._done[one.task] = one.attempt
        del self.attempts[one.task]
        self._say_left(one.task, one.place.leave())
        return True

    def _is_taken_away(self, one: RunningAttempt) -> bool:
        task = self.node.fleet.states["tasks"].tasks.get(one.task)
        return (
            task is None
            or task.attempt != one.attempt
            or task.status not in task_state.HELD
            or not same_agent(task.last.agent, self.agent)
        )

    def _tell_progress(self, one: RunningAttempt, now_s: float) -> None:
        if one.question is not None:
            question, one.question = one.question, None
            asked = self.node.fleet.states["tasks"].tasks[one.task].created_by
            self._tell(
                one.task,
                "task_input_requested",
                question,
                {"attempt": one.attempt, "text": question},
                to=() if same_agent(asked, self.agent) else (asked,),
            )
        if one.progress is not None and now_s - self._told_s.get(one.task, 0.0) >= PROGRESS_S:
            (share, text), one.progress = one.progress, None
            self._told_s[one.task] = now_s
            self._tell(one.task, "task_progressed", text, {"attempt": one.attempt, "share": share, "text": text})

    def _conclude(self, one: RunningAttempt) -> None:
        type_, data = one.outcome()
        words = {"task_finished": "finishes", "task_failed": "fails in", "task_released": "gives back"}[type_]
        title = self.node.fleet.states["tasks"].tasks[one.task].title
        self.say("task", f"{one.task[:8]} {type_.removeprefix('task_')}: {title}")
        self._tell(one.task, type_, f"{self.agent} {words} {title}", data)
        self._told_s.pop(one.task, None)

    def _tell(self, task: str, type_: str, words: str, data: Mapping[str, Any], *, to: tuple[str, ...] = ()) -> None:
        """Record an event. If a title, or the output, looks like a credential, record it without that text."""
        plain = f"{self.agent}: {type_.replace('_', ' ')}"
        try:
            self._append(task, type_, words, data, to)
        except Refused:
            try:
                self._append(task, type_, plain, data, to)
            except Refused as wrong:
                kept = {
                    name: f"not shown: {wrong}" if name in TEXTS else value
                    for name, value in data.items()
                    if not isinstance(value, list)
                }
                self._append(task, type_, plain, kept, to)

    def _append(self, task: str, type_: str, words: str, data: Mapping[str, Any], to: tuple[str, ...]) -> None:
        draft = self.node.draft(type_, words, actor=self.agent, re=task, data=data, to=to)
        submit.check_data(self.node, draft)  # a void event would leave the task at work forever
        self.node.append(draft)

    # Ending

    def rest(self) -> None:
        """Take on nothing more; what runs may end."""
        self.resting = True

    def ask_to_end(self) -> None:
        """Ask what still runs to end; `end` does not ask."""
        for one in self.attempts.values():
            one.command.ask_to_end()

    def end(self) -> None:
        """End what still runs, and whatever it started, and give it back to the fleet."""
        for one in list(self.attempts.values()):
            one.command.ask_to_end()
            one.command.end(grace_s=TERM_S)
            if one.command.code == 0 and not one.problem:
                self._conclude(one)
            elif not one.dropped:
                self._tell(
                    one.task,
                    "task_released",
                    f"{self.agent} gives it back",
                    {"attempt": one.attempt, "reason": f"{self.agent} was told to stop"},
                )
            self._say_left(one.task, one.place.leave())
        self.attempts.clear()

    def _say_left(self, task: str, left: str) -> None:
        """Say where a person finds work that an attempt did not finish."""
        if left:
            self.say("task", f"{task[:8]}: {left}")


def _reported(node: Node, agent: str) -> dict[str, int]:
    """Return task → attempt of what an earlier run has reported, though it has not left this disk yet."""
    told: dict[str, int] = {}
    for event in node.disk.pending():
        attempt = event.data.get("attempt")
        if same_agent(event.actor, agent) and event.term is None and event.re and type(attempt) is int:
            told[event.re] = max(attempt, told.get(event.re, 0))
    return told
