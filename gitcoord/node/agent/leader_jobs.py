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

END_S = 5.0  # how long a running job may delay the end of the process
WAIT_S_MAX = 3600.0  # after failures, the time between two attempts doubles up to this

LeaseHeld = Callable[[], bool]
PreparedJob = Callable[[LeaseHeld], Sequence[NewEvent]]


class LeaderJob(Protocol):
    """A job that the leader does at an interval. Log lines show its `name`."""

    name: str

    def interval_s(self, ctx: Context) -> float:
        """Return the interval in seconds; 0 if the job is not wanted."""

    def prepare(self, ctx: Context) -> PreparedJob | None:
        """Return the function that does the work in a thread; None if there is nothing to do."""


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
        self._waits = False  # a job is due, but the lease is not held yet
        self._until_s = 0.0  # the end of the lease, in seconds since boot; read by the thread

    @property
    def busy(self) -> bool:
        return self._running is not None or self._waits

    def is_due(self, now_s: float) -> bool:
        return self._running is not None and self._has_ended()

    def step(self, now_s: float) -> bool:
        """Conclude the job that has ended, or begin one that is due if an agent of this process leads.

        Return True if anything was done.
        """
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
            except Exception as wrong:  # no content of the ledger may keep the other jobs from their turn
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
        """Stop further writes outside the ledger: a job checks the lease before each."""
        self._until_s = 0.0

    def end(self) -> None:
        """Wait up to END_S for the running job, and record what it did."""
        if self._running is not None and self._running.thread is not None:
            self._running.thread.join(END_S)
            self._concluded(0.0)

    def _lease_held(self) -> bool:
        return since_boot_s() < self._until_s

    def _begin(self, job: LeaderJob, work: PreparedJob, next_s: float) -> None:
        self._next_s[job.name] = next_s
        running = self._running = _RunningJob(job)

        def run() -> None:
            try:
                running.done = list(work(self._lease_held))
            except Exception as wrong:  # a bug in a job must not end the agent
                running.wrong = describe_error(wrong)

        running.thread = threading.Thread(target=run, daemon=True)
        running.thread.start()

    def _has_ended(self) -> bool:
        thread = self._running.thread if self._running is not None else None
        return thread is not None and not thread.is_alive()

    def _concluded(self, now_s: float) -> bool:
        """Conclude the running job if it has ended, and return whether it had. With `--once`, the next job then begins
        in the same turn."""
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
            self.say(name, "this agent lost the leadership meanwhile: the next leader repeats the job")
            return
        drafts = []
        for one in running.done:
            try:
                [draft] = self.node.drafted([one], actor=lead.agent, term=self.node.fleet.terms.term)
                self.node.check(draft)
            except Refused as wrong:  # a text from outside may be refused, such as a title with a secret in it
                self.say("job_failed", f"{name}: one result cannot be recorded: {wrong}")
            else:
                drafts.append(draft)
        try:
            self.node.append(*drafts)
        except GitcoordError as wrong:  # the disk: the next run finds the work again
            self.say("job_failed", f"{name}: its results cannot be recorded, so it runs again later: {wrong}")
            return
        for draft in drafts:
            self.say(name, draft.content)

    def _failed(self, name: str, wrong: str, now_s: float) -> None:
        count = self._failures[name] = self._failures.get(name, 0) + 1
        pause_s = max(0.0, self._next_s[name] - now_s)
        self._next_s[name] = now_s + min(max(pause_s, 1.0) * 2 ** min(count, 20), WAIT_S_MAX)
        self.say("job_failed", f"{name}: {wrong}")
