"""`agent run`: sessions that heartbeat, sync, campaign and lead, until they are told to stop; then they say goodbye."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import filelock

from gitcoord.core import liveness
from gitcoord.core.errors import GitcoordError, Lost
from gitcoord.core.leadership.session import Session
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.features import agents, settings
from gitcoord.node import push_budget
from gitcoord.node.agent import goodbye, once, sessions
from gitcoord.node.agent.alert_sender import AlertSender, addresses
from gitcoord.node.agent.event_handler import EventHandler
from gitcoord.node.agent.options import RunOptions
from gitcoord.node.agent.round_schedule import RoundSchedule
from gitcoord.node.agent.sync_loop import SyncLoop
from gitcoord.node.clock import since_boot_s, utc_now
from gitcoord.node.guards import Component, Guards
from gitcoord.node.node import Node
from gitcoord.node.operations import give_back, places, submit
from gitcoord.node.remotes.components import components
from gitcoord.node.shutdown import StopFlag
from gitcoord.node.tasks.worker import TaskWorker

CHECK_S = 0.05  # between two checks of the queue: what another process queued is picked up within 100 ms
CHECK_S_MAX = 0.5  # for slow remotes: where a fetch takes a second, these checks are most of an idle agent's cost
TIDY_S = 60.0  # between two checks whether the private store needs `git gc`
GONE_MARGIN_S = 0.02  # so that the agent counts as gone at that check, not as nearly gone


@dataclass(slots=True)
class Runner:
    """The agents of one process, on one node."""

    node: Node
    options: RunOptions
    stop: StopFlag = field(default_factory=StopFlag)
    components: list[Component] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # messages about sessions that ended in favour of another run
    schedule: RoundSchedule = field(default_factory=RoundSchedule)
    _loop: SyncLoop = field(init=False)
    _guards: Guards = field(init=False)
    _sessions: sessions.AgentSessions = field(init=False)
    _leader_seen: object = None
    _tidy_s: float = 0.0

    def __post_init__(self) -> None:
        self._guards = Guards(self.options.say)
        self.node.writer.on_secret = OnSecret.HIDE  # an unattended run cannot correct a refused event
        self._loop = SyncLoop(self.node, self.options.agents[0], self.options.say, self.stop, self.schedule)
        self._sessions = sessions.AgentSessions(self.node, self.options.say, self.stop.is_set)

    def run(self) -> None:
        """Run until told to stop, or until `for_s` is over. Raise Lost if an agent runs elsewhere or was taken over,
        and with `once` the error of the last round."""
        node = self.node
        names = list({agent.casefold(): agent for agent in self.options.agents}.values())
        with sessions.locked(node, names), self._in_place(names), self.stop.on_signals():
            node.pause = lambda seconds: None if self.stop.wait(seconds) else None
            load = sessions.heartbeat_extras()
            since = {"since": utc_now()}
            node.local.heartbeat_extras = lambda: {**since, **load(), **self.options.heartbeat_extras()}
            node.local.election_delay_factor = settings.election_delay_factor
            self._loop.first(wait_for_credentials=self.options.wait_for_credentials)
            started = since_boot_s()
            try:
                self._begin_sessions(self._sessions.names(names))
                self._run_turns(started)
                self._drain()
            finally:
                self._say_goodbye()
        if self.ended:
            raise Lost("; ".join(self.ended))
        if self.options.once and self._loop.trouble is not None:
            raise self._loop.trouble

    @contextlib.contextmanager
    def _in_place(self, names: Sequence[str]) -> Iterator[None]:
        """Tell this node's processes where the agents live."""
        with contextlib.ExitStack() as stack:
            for agent in () if self.options.once or self.options.shared else names:
                stack.enter_context(
                    places.held(self.node.home, agent, node_id=self.node.disk.node, place=self.node.place)
                )
            yield

    def _begin_sessions(self, names: Sequence[str]) -> None:
        lead = self.options.lead and self.node.config.lead
        for agent in names:
            self._sessions.take(agent, may_lead=lead, takeover=self.options.takeover)
            if self.options.on_event:
                self.components.append(
                    EventHandler(
                        self.node,
                        agent,
                        self.options.on_event,
                        reply=self.options.reply,
                        attempts=self.options.attempts,
                        say=self.options.say,
                        pass_env=self.options.pass_env,
                    )
                )
            if self.options.work is not None:
                self.components.append(TaskWorker(self.node, agent, self.options.work, say=self.options.say))
            if self.options.work is not None or self.options.capabilities:
                self._enrol(agent)
        urls = addresses(os.environ)
        if urls:
            self.components.append(AlertSender(self.node, urls, say=self.options.say))
        self.components += [*self.options.components, *components(self.node, say=self.options.say)]
        self.options.say(
            "start", f"{', '.join(names)} on node {self.node.disk.node}, profile {self.node.local.profile.name}"
        )

    def _enrol(self, agent: str) -> None:
        """Register the agent's capabilities and slots with the fleet, unless they are registered already."""
        slots = self.options.work.slots if self.options.work is not None else 1
        ctx = submit.context(self.node, agent)
        accepts = self.options.work is not None  # without a command, nobody here would do a task
        proposals = agents.enrolled(ctx, capabilities=self.options.capabilities, slots=slots, accepts=accepts)
        self.node.append(*self.node.drafted(proposals, actor=agent))

    # Turns

    def _run_turns(self, started: float) -> None:
        end = float("inf") if self.options.for_s is None else started + self.options.for_s
        done: Callable[[], bool] | None = None
        if self.options.once:
            done = once.over(self.node, self._loop, lambda: any(one.busy for one in self.components), started)
        while not self.stop.is_set() and since_boot_s() < end:
            self._turn()
            if (done is not None and done()) or not self.node.local.sessions:
                break
            self._sleep(end)

    def _turn(self) -> None:
        """Do one round if it is due, with its retries. Then let each component do the steps that are due."""
        if self.is_due(since_boot_s()):
            try:
                self.round()
            except Exception as wrong:
                self._loop.failed(wrong)
        if not self._loop.paused:
            self.node.local.lease.wanted = False  # a component that still wants the lease sets it again in its step
            for component in self.components:
                while self._guards.step(component):
                    pass

    def is_due(self, now_s: float) -> bool:
        return self.schedule.is_due(now_s, self.node.home.queue.stamp())

    def round(self) -> None:
        """Do one round, and decide when the next one is due."""
        node = self.node
        before = _queue_head(node)
        report = self._loop.one()
        if report is not None:
            self._guards.run("after a round", self._after_round, otherwise=None, now_s=since_boot_s())
        now = since_boot_s()
        gone_in_s = self._guards.run("the check for gone agents", self._gone_in_s, otherwise=math.inf, now_s=now)
        self.schedule.due_s = now + min(node.local.next_due_s(node.fleet, now), gone_in_s)
        if report is not None and report.waiting:
            wait_s = push_budget.wait_s(node.budget, now, poll_s=node.local.profile.poll_s)
            self.schedule.not_before_s = self.schedule.due_s = now + wait_s
        elif report is not None and now >= self._tidy_s and not (report.ledger or report.outbox):
            self._tidy_s = now + TIDY_S
            node.tidy()
            self._guards.run("ended branches", lambda: give_back.of_branches(node), otherwise=0, now_s=now)
        # Read the stamp BEFORE the queue: what is queued between the two is noticed at the next check.
        stamp = node.home.queue.stamp()
        self.schedule.queue_seen = stamp if _queue_head(node) in (before, None) else None

    def _gone_in_s(self) -> float:
        """Return the seconds until an agent counts as gone, so that a leader reassigns its work without waiting for the
        next tick; infinity if no agent of this process leads."""
        local = self.node.local
        if local.leading(self.node.fleet.terms) is None:
            return math.inf
        return liveness.gone_in_s(local.standings().values(), poll_s=local.profile.poll_s) + GONE_MARGIN_S

    def _after_round(self) -> None:
        node = self.node
        self._tell_leader()
        self._sessions.log_heartbeats()
        heartbeats = node.replica.heartbeats()
        for session in list(node.local.sessions):
            why = None if session.leaving else self._sessions.lost(session, heartbeats)
            if why is not None:
                self._give_up(session, why)

    def _give_up(self, session: Session, why: str) -> None:
        """End one agent's session with a heartbeat that says goodbye. The other agents of this process go on."""
        self.ended.append(why)
        self.options.say("lost", why)
        for component in self.components:
            if component.agent == session.agent:
                self._guards.ending(component.end)
        self.components = [component for component in self.components if component.agent != session.agent]
        session.leaving = True
        with contextlib.suppress(GitcoordError, filelock.Timeout):
            self.node.sync(urgent=True)
        self.node.local.sessions.remove(session)

    def _tell_leader(self) -> None:
        terms = self.node.fleet.terms
        now = (terms.term, terms.leader, terms.session)
        if now != self._leader_seen:
            self._leader_seen = now
            here = " (here)" if self.node.local.leading(terms) else ""
            self.options.say("leader", f"{terms.leader or 'nobody'} leads term {terms.term}{here}")

    def _sleep(self, end_s: float) -> None:
        """Sleep until the next round is due, the queue changed, a command needs attention, or it is time to stop."""
        check_s = min(max(CHECK_S, self.node.local.profile.poll_s / 20), CHECK_S_MAX)
        if any(component.agent for component in self.components):
            check_s = CHECK_S
        while not self.stop.is_set():
            now = since_boot_s()
            wake_s = self.schedule.wake_s(end_s)
            if now >= wake_s or self.is_due(now):
                return
            if not self._loop.paused and any(map(self._guards.is_due, self.components)):
                return
            self.stop.wait(min(check_s, wake_s - now))

    # Ending

    def _drain(self) -> None:
        """Wait up to `drain_s` for work in progress: the agent sends heartbeats, but takes no new work. A second signal
        ends the wait."""
        workers = [one for one in self.components if isinstance(one, TaskWorker)]
        for worker in workers:
            worker.rest()
        if any(worker.busy for worker in workers):
            self.options.say("draining", f"waiting at most {self.options.drain_s:g} s for work in progress")
        self.node.pause = time.sleep
        end_s = time.monotonic() + self.options.drain_s
        while any(worker.busy for worker in workers) and time.monotonic() < end_s and not self.stop.at_once:
            self._turn()
            time.sleep(CHECK_S)

    def _say_goodbye(self) -> None:
        """End components and sessions: the leader resigns, so that it is replaced at once; heartbeats say goodbye."""
        for component in self.components:
            self._guards.ending(component.ask_to_end)
        try:
            if self.node.local.sessions and not self.stop.at_once:
                workers = [one.agent for one in self.components if isinstance(one, TaskWorker)]
                with contextlib.suppress(GitcoordError, filelock.Timeout):
                    goodbye.say(self.node, self._loop, workers=workers, hands_over=not self.options.once)
        finally:
            for component in self.components:
                self._guards.ending(component.end)
            if any(one.agent for one in self.components) and not self.stop.at_once:
                goodbye.send_rest(self.node, self._loop)
        self.options.say("goodbye", "goodbye")


def _queue_head(node: Node) -> object:
    """Return the chain head after the newest event in the queue; None if the queue is empty."""
    pending = node.disk.pending()
    return pending[-1].head if pending else None
