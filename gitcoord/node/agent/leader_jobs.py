"""Leader jobs: what the leader does outside the ledger, in a thread, and records when it is done.

The fold belongs to the main thread. So a job is prepared there, from a context; what runs in the thread holds copies,
asks `lease_held` before it changes anything outside, and returns the events to write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gitcoord.core.commands import Context, NewEvent
from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.node.clock import since_boot_s
from gitcoord.node.guards import describe_error
from gitcoord.node.node import Node
from gitcoord.node.operations import submit

END_S = 5.0  # to finish a job when told to stop
WAIT_S_MAX = 3600.0  # after failures, the time between two attempts doubles up to this

LeaseHeld = Callable[[], bool]
PreparedJob = Callable[[LeaseHeld], Sequence[NewEvent]]


class LeaderJob(Protocol):
    """`name` is a word for people."""

    name: str

    def interval_s(self, ctx: Context) -> float:
        """Return the interval in seconds; 0 if the job is not wanted."""

    def prepare(self, ctx: Context) -> PreparedJob | None:
        """Return the work to do now; None if there is none."""


@dataclass(slots=True)
class _RunningJob:
    job: LeaderJob
    thread: threading.Thread | None = None
    done: list[NewEvent] = field(default_factory=list)
    wrong: str = ""


class LeaderJobs:
    """The jobs of one process, one at a time. `agent run` calls it between two rounds."""

    agent = ""  # it belongs to no single agent

    def __init__(self, node: Node, jobs: Sequence[LeaderJob], *, say: Callable[[str, str], None]) -> None:
        self.node = node
        self.jobs = jobs
        self.say = say
        self._running: _RunningJob | None = None
        self._next_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._waits = False  # something is due, and the lease does not allow it yet
        self._until_s = 0.0  # read by the thread: until then the leader here may act

    @property
    def busy(self) -> bool:
        return self._running is not None or self._waits

    def is_due(self, now_s: float) -> bool:
        return self._running is not None and self._has_ended()

    def step(self, now_s: float) -> bool:
        """Begin what is due, if the leader is here; conclude what has ended. Return True if anything was done."""
        local, terms = self.node.local, self.node.fleet.terms
        lead = local.leading(terms)
        self._until_s = local.lease.valid_until_s if lead is not None else 0.0
        if self._running is not None:
            return self._concluded(now_s)
        due = [one for one in self.jobs if now_s >= self._next_s.get(one.name, 0.0)] if lead is not None else []
        self._waits = False
        if lead is None or not due:
            return False
        ctx = submit.context(self.node, lead.agent)
        for job in due:
            try:
                interval_s = job.interval_s(ctx)
                work = job.prepare(ctx) if interval_s > 0 else None
            except Exception as wrong:  # whatever the ledger holds must not keep the other jobs from their turn
                self._next_s[job.name] = now_s
                self._failed(job.name, describe_error(wrong), now_s)
                continue
            if work is None:
                continue
            if not local.holds_lease(terms, since_boot_s()):
                local.lease.wanted = self._waits = True
                return False
            self._begin(job, work, now_s + interval_s)
            return True
        return False

    def ask_to_end(self) -> None:
        """Stop further writes outside: a job asks before each."""
        self._until_s = 0.0

    def end(self) -> None:
        if self._running is not None and self._running.thread is not None:
            self._running.thread.join(END_S)
            self._concluded(0.0)

    def _may_act(self) -> bool:
        return since_boot_s() < self._until_s

    def _begin(self, job: LeaderJob, work: PreparedJob, next_s: float) -> None:
        self._next_s[job.name] = next_s
        running = self._running = _RunningJob(job)

        def run() -> None:
            try:
                running.done = list(work(self._may_act))
            except Exception as wrong:  # a bug in a job must not end the agent
                running.wrong = describe_error(wrong)

        running.thread = threading.Thread(target=run, daemon=True)
        running.thread.start()

    def _has_ended(self) -> bool:
        thread = self._running.thread if self._running is not None else None
        return thread is not None and not thread.is_alive()

    def _concluded(self, now_s: float) -> bool:
        """Conclude a job that has ended. Return whether the next one may begin: a run of one turn needs that at
        once."""
        if not self._has_ended():
            return False
        running, self._running = self._running, None
        assert running is not None
        self._conclude(running, now_s)
        return True

    def _conclude(self, running: _RunningJob, now_s: float) -> None:
        name = running.job.name
        if running.wrong:
            self._failed(name, running.wrong, now_s)
            return
        self._failures.pop(name, None)
        lead = self.node.local.leading(self.node.fleet.terms)
        if lead is None:  # events of a leader would have no effect; the next leader finds the work again
            self.say(name, "the leadership ended meanwhile: the next leader looks again")
            return
        drafts = []
        for one in running.done:
            try:
                [draft] = self.node.drafted([one], actor=lead.agent, term=self.node.fleet.terms.term)
                self.node.check(draft)
            except Refused as wrong:  # for a text from outside, such as a secret in a title: record the others
                self.say("job_failed", f"{name}: one of what it did cannot be noted: {wrong}")
            else:
                drafts.append(draft)
        try:
            self.node.append(*drafts)
        except GitcoordError as wrong:  # the disk: the next run finds the work again
            self.say("job_failed", f"{name} cannot be noted: {wrong}")
            return
        for noted in drafts:
            self.say(name, noted.content)

    def _failed(self, name: str, wrong: str, now_s: float) -> None:
        count = self._failures[name] = self._failures.get(name, 0) + 1
        pause_s = max(0.0, self._next_s[name] - now_s)
        self._next_s[name] = now_s + min(max(pause_s, 1.0) * 2 ** min(count, 20), WAIT_S_MAX)
        self.say("job_failed", f"{name}: {wrong}")
