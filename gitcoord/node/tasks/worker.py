"""The worker: does the tasks that the fleet assigns to an agent, each as a command, several at a time.

Attempts are numbered: if an agent was killed, another one makes the next attempt, and a late result of the old attempt
has no effect. A run that finds abandoned attempts of an earlier run ends them and releases their tasks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gitcoord.core.errors import GitcoordError, Unreachable
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
from gitcoord.node.tasks.branch_pushes import BranchPushes
from gitcoord.node.tasks.reports import Reports, reason_with

LIMIT_S = 3600.0  # of an attempt, unless the task or the command line sets another
PROGRESS_S = 5.0  # between two progress events: each is kept forever
DISK_RETRY_S = 1.0  # after the disk or a lock failed
PUSH_END_S = 10.0  # at a stop, for pushes of finished work; the next run continues with the others


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How an agent does its tasks. A `command` that is one text is run by the shell."""

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
        self.resting = False  # no new task is begun
        self._progress_s: dict[str, float] = {}
        self._not_before_s = 0.0
        self._seen: object = None
        self._reports = Reports(node, agent)
        self._pushes = BranchPushes(node.home.path, config.top, node.config.remote, agent, say=say)
        self._done = self._reports.waiting()  # tasks whose attempt is over here, though the ledger may not show it yet
        for left in workspace.clear(node.home.path, config.top, agent):
            self._say_left(left.task, left.left)
            self._reports.record(
                left.task,
                "task_released",
                "its agent ended in the middle of it",
                {"attempt": left.attempt, "reason": reason_with("its agent ended in the middle of it", left.work)},
            )
            self._done[left.task] = left.attempt

    @property
    def busy(self) -> bool:
        return bool(self.attempts)

    def is_due(self, now_s: float) -> bool:
        """Return whether `step` has something to do although no round brought news."""
        if now_s < self._not_before_s:
            return False
        return self._pushes.is_due(now_s) or any(
            (one.command.code is not None and one.push is None)
            or one.command.floods
            or not one.output.notes.empty()
            or now_s - one.since_s > one.limit_s
            or one.asked_at_s is not None
            for one in self.attempts.values()
        )

    def step(self, now_s: float) -> bool:
        """Check the running attempts, and begin a new one. Return True if anything was begun or ended."""
        if now_s < self._not_before_s:
            return False
        did = [self._retried(self._step_pushes, now_s)]
        did += [self._retried(partial(self._check, one), now_s) for one in list(self.attempts.values())]
        return any(did) or now_s >= self._not_before_s and self._retried(self._begin, now_s)

    def _retried(self, part: Callable[[float], bool], now_s: float) -> bool:
        """Return what `part` returns. If the disk or a lock fails, report that, return False and retry later: a command
        that has ended must not run again for that."""
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
        """Return the tasks that the leader assigned to this agent and that are not begun, the most urgent first.

        A task that a person claimed as this agent is left to that person.
        """
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
                fleet_remote=self.node.config.remote,
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
        except Exception as wrong:  # no content of a task may fail more than its own attempt
            if place is not None:
                place.leave()
            self._done[task.id] = task.attempt
            reason = str(wrong) if isinstance(wrong, OSError) else describe_error(wrong)
            self.say("task", f"{task.id[:8]} could not be started: {reason}")
            self._reports.record(
                task.id,
                "task_released" if isinstance(wrong, Unreachable) else "task_failed",
                f"{task.title}: could not be started",
                {"attempt": task.attempt, "reason": f"could not be started: {reason}"},
            )
            return
        self.attempts[task.id] = begun
        with contextlib.suppress(OSError):  # the first note, without a process id, is enough to find it by its folder
            place.occupied_by(begun.command.pid, task.id, task.attempt, self.agent)
        self.say("task", f"{task.id[:8]} begins: {task.title}" + (f" ({place.remark})" if place.remark else ""))
        data: dict[str, Any] = {"attempt": task.attempt}
        if place.branch:
            data |= {"place": place.folder.name, "branch": place.branch}
        self._reports.record(task.id, "task_started", f"{self.agent} starts {task.title}", data)

    # Running

    def _check(self, one: RunningAttempt, now_s: float) -> bool:
        """Check one attempt, and conclude it if it has ended. Return True if it has."""
        if one.push is None:
            one.check(now_s)
        if not one.dropped and self._is_taken_away(one):
            one.dropped = True
            self.say("task", f"{one.task[:8]} is no longer {self.agent}'s: its command is ended")
            one.ask_to_end(now_s)
        if one.command.code is None:
            self._record_progress(one, now_s)
            return False
        one.command.end()
        if not one.dropped:
            if self._pushes_first(one):
                return False
            self._conclude(one)
        self._done[one.task] = one.attempt
        del self.attempts[one.task]
        self._say_left(one.task, one.place.leave())
        return True

    def _pushes_first(self, one: RunningAttempt) -> bool:
        """Push the branches of a finished task; return whether its outcome has to wait for that."""
        if one.push is None and one.is_well and one.place.remote and (branches := one.place.keep()):
            one.push = self._pushes.begin(one.task, one.attempt, branches, one.place.folder)
        return one.push is not None and not one.push.is_settled

    def _step_pushes(self, now_s: float) -> bool:
        """Go on with pushes; tell the fleet of those that succeeded after their task was reported."""
        taken = self._pushes.step(now_s)
        for one in taken:
            if one.reported:
                words = f"the branch {', '.join(one.note.branches)} is on {one.remote} now"
                self._reports.record(one.note.task, "task_commented", words, {})
        return bool(taken)

    def _is_taken_away(self, one: RunningAttempt) -> bool:
        task = self.node.fleet.states["tasks"].tasks.get(one.task)
        return (
            task is None
            or task.attempt != one.attempt
            or task.status not in task_state.HELD
            or not same_agent(task.last.agent, self.agent)
        )

    def _record_progress(self, one: RunningAttempt, now_s: float) -> None:
        if one.question is not None:
            question, one.question = one.question, None
            creator = self.node.fleet.states["tasks"].tasks[one.task].created_by
            self._reports.record(
                one.task,
                "task_input_requested",
                question,
                {"attempt": one.attempt, "text": question},
                to=() if same_agent(creator, self.agent) else (creator,),
            )
        if one.progress is not None and now_s - self._progress_s.get(one.task, 0.0) >= PROGRESS_S:
            (share, text), one.progress = one.progress, None
            self._progress_s[one.task] = now_s
            self._reports.record(
                one.task, "task_progressed", text, {"attempt": one.attempt, "share": share, "text": text}
            )

    def _conclude(self, one: RunningAttempt) -> None:
        type_, data = one.outcome()
        words = {"task_finished": "finishes", "task_failed": "fails in", "task_released": "gives back"}[type_]
        title = self.node.fleet.states["tasks"].tasks[one.task].title
        self.say("task", f"{one.task[:8]} {type_.removeprefix('task_')}: {title}")
        self._reports.record(one.task, type_, f"{self.agent} {words} {title}", data)
        self._progress_s.pop(one.task, None)

    # Ending

    def rest(self) -> None:
        """Begin no new task. Running commands may finish."""
        self.resting = True

    def ask_to_end(self) -> None:
        """Ask the running commands to end (SIGTERM)."""
        for one in self.attempts.values():
            one.command.ask_to_end()

    def end(self) -> None:
        """End the running commands and all processes that they started, and release their tasks."""
        for one in list(self.attempts.values()):
            if one.push is None:
                one.command.ask_to_end()
                one.command.end(grace_s=TERM_S)
            if one.is_well:
                if self._pushes_first(one) and one.push is not None:
                    one.push.wait(PUSH_END_S)
                self._conclude(one)
            elif not one.dropped:
                self._reports.record(
                    one.task,
                    "task_released",
                    f"{self.agent} gives it back",
                    {
                        "attempt": one.attempt,
                        "reason": reason_with(f"{self.agent} was told to stop", one.place.whereabouts()),
                    },
                )
            self._say_left(one.task, one.place.leave())
        self.attempts.clear()
        self._pushes.step(0.0)

    def _say_left(self, task: str, left: str) -> None:
        """Report where unfinished work of an attempt is."""
        if left:
            self.say("task", f"{task[:8]}: {left}")
