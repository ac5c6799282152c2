"""`agent run`: sessions that beat, sync, stand and lead, until they are told to stop; then they say goodbye."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import filelock
import tenacity

from gitcoord.core.errors import BadCredentials, Denied, GitcoordError, Lost, Paused, Refused, Unreachable
from gitcoord.core.names import same_agent
from gitcoord.core.protocol import Report
from gitcoord.core.session import Session
from gitcoord.features import settings
from gitcoord.node.node import Node
from gitcoord.node.reaction import Reaction

ATTEMPTS = 6  # one, and five retries; then the node is offline
LOOK_S = 0.05  # how often the queue is looked at: what another process queued is picked up within 100 ms
GOODBYE_S = 10.0  # at most, for the last words
PAUSED_LOOK_S = 1.0


@dataclass(slots=True)
class Options:
    """What `agent run` was told."""

    agents: Sequence[str]
    on_event: str | None = None
    reply: bool = False
    lead: bool = True
    once: bool = False
    takeover: bool = False
    for_s: float | None = None
    say: Callable[[str, str], None] = lambda kind, text: None


@dataclass(slots=True)
class Runner:
    """The agents of one process, on one node."""

    node: Node
    options: Options
    stop: threading.Event = field(default_factory=threading.Event)
    reactions: list[Reaction] = field(default_factory=list)
    offline: bool = False
    paused: bool = False
    _due_s: float = 0.0
    _next_probe_s: float = 0.0
    _queue_seen: object = None
    _leader_seen: object = None
    _logged_beat_s: float = 0.0

    def run(self) -> None:
        """Until told to stop, or `for_s` is over. Raises Lost when an agent runs elsewhere, or was taken over."""
        with self._run_locks(), self._signals():
            node = self.node
            node.pause = lambda seconds: None if self.stop.wait(seconds) else None
            node.crew.vitals = vitals
            node.crew.eligible = settings.may_lead
            node.crew.neighbours = self._neighbours
            self._first_round()
            self._take_seats()
            started = time.monotonic()
            end = None if self.options.for_s is None else started + self.options.for_s
            done = self._once_done(started) if self.options.once else lambda: False
            try:
                while not self.stop.is_set() and not (end and time.monotonic() >= end):
                    self._turn()
                    if done():
                        break
                    self._sleep(end)
            finally:
                self._say_goodbye()

    # Beginning

    @contextlib.contextmanager
    def _run_locks(self) -> Iterator[None]:
        """One `agent run` an agent on a node: a second one is told."""
        with contextlib.ExitStack() as held:
            for agent in self.options.agents:
                try:
                    held.enter_context(self.node.home.run_lock(agent).acquire(timeout=0.5))
                except filelock.Timeout:
                    node = self.node.disk.node
                    raise Lost(f"{agent} runs on this node already ({node}): stop that one first") from None
            yield

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the run with a goodbye. Only the main thread can be told."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, lambda *_: self.stop.set()) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _first_round(self) -> None:
        """Credentials are checked at the start: wrong ones halt. An outage does not."""
        for agent in self.options.agents:
            self.node.keyring.signer(agent)
        try:
            self.node.sync(tick=False)
        except Unreachable as wrong:
            self.options.say("unreachable", f"{wrong}; starting all the same, events are queued")
        for agent in self.options.agents:
            member = self.node.fleet.members.get(agent)
            if member is None and self.node.fleet.position and not self._joining(agent):
                raise Refused(f"{agent} has not joined this fleet: run `gitcoord init --agent '{agent}'`")

    def _joining(self, agent: str) -> bool:
        return any(e.type == "agent_joined" and same_agent(e.actor, agent) for e in self.node.disk.pending())

    def _take_seats(self) -> None:
        node = self.node
        lead = self.options.lead and node.config.lead
        for agent in self.options.agents:
            session = Session(agent, secrets.token_hex(6), node.keyring.signer(agent), may_lead=lead)
            self._meet_other_selves(session)
            node.crew.sessions.append(session)
            if self.options.on_event:
                self.reactions.append(Reaction(node, agent, self.options.on_event, reply=self.options.reply,
                                               say=self.options.say))
        self.options.say("start", f"{', '.join(self.options.agents)} on node {node.disk.node}, profile "
                         f"{node.crew.profile.name}")

    def _meet_other_selves(self, session: Session) -> None:
        """The same agent may run on one node at a time. Silence for two of its promised beats proves it gone."""
        terms = self.node.fleet.terms
        if terms.leader == session.agent and terms.node == self.node.disk.node:
            session.proven_dead = terms.session  # we hold its run lock: no other session of it lives here
        beats = self._beats_elsewhere(session.agent)
        if not beats:
            return
        if self.options.takeover:
            session.over = str(max(beats.values(), key=lambda data: data["n"])["session"])
            return
        patience = 2 * max(float(data.get("next_s", 1.0)) for data in beats.values()) + self.node.crew.profile.poll_s
        self.options.say("checking", f"{session.agent} beat on node {', '.join(beats)}: watching for {patience:.0f} s "
                         "whether it still runs there (--takeover does not wait)")
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not self.stop.is_set():
            self.node.pause(min(self.node.crew.profile.poll_s, 1.0))
            with contextlib.suppress(Unreachable):
                self.node.sync(tick=False)
            for name, data in self._beats_elsewhere(session.agent).items():
                if data["n"] != beats.get(name, {}).get("n"):
                    raise Lost(f"{session.agent} runs on node {name}: stop it there, or start this one with --takeover")
        for data in beats.values():
            if data["session"] == terms.session:
                session.proven_dead = terms.session

    def _beats_elsewhere(self, agent: str) -> dict[str, Mapping[str, Any]]:
        """Beats of the agent on other nodes that did not say goodbye, by node."""
        return {
            beat.node: beat.data for beat in self.node.replica.beats()
            if same_agent(beat.actor, agent) and beat.node != self.node.disk.node
            and beat.data.get("state") == "alive" and isinstance(beat.data.get("n"), int) and "session" in beat.data
        }

    def _neighbours(self) -> list[bytes]:
        own = {agent.casefold() for agent in self.options.agents}
        return self.node.home.beats([agent for agent in self.node.home.running() if agent not in own])

    # Going on

    def _turn(self) -> None:
        """One round if one is due, with its retries; then the reactions."""
        now = time.monotonic()
        signature = self.node.home.queue.signature()
        urgent = signature != self._queue_seen
        if now >= self._due_s or (urgent and now >= self._next_probe_s):
            self._queue_seen = signature
            self._round()
            self._due_s = time.monotonic() + self.node.crew.next_due_s(self.node.fleet, time.monotonic())
            self._queue_seen = self.node.home.queue.signature() if self._settled() else None
        if not self.paused:
            for reaction in self.reactions:
                while reaction.step(time.monotonic()):
                    pass

    def _settled(self) -> bool:
        """Whether all that was queued when the round began is at least on its way."""
        pending = self.node.disk.pending()
        return self.offline or not pending or pending[-1].head.seq <= self.node.home.progress().durable

    def _round(self) -> None:
        try:
            report = self._with_retries() if not self.offline else self.node.sync()
        except Unreachable as wrong:
            self._went_offline(wrong)
        except BadCredentials as wrong:
            self._hold("credentials", wrong)
        except (Denied, Lost, filelock.Timeout) as wrong:
            self._hold("refused", wrong)
        except Paused as wrong:
            self._hold("paused", wrong)
            self.paused = True
            self._next_probe_s = time.monotonic() + PAUSED_LOOK_S
        else:
            self._went_well(report)

    def _with_retries(self) -> Report:
        profile = self.node.crew.profile
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_when_event_set(self.stop),
            wait=tenacity.wait_random_exponential(multiplier=profile.retry_s, max=profile.probe_s),
            retry=tenacity.retry_if_exception_type(Unreachable), reraise=True, sleep=self.node.pause,
            before_sleep=lambda state: self.node.crew.watch.lapse(),
        )
        report: Report = retrying(self.node.sync)
        return report

    def _went_offline(self, wrong: Unreachable) -> None:
        """After the fifth retry: an `error` event, one message; then on with the queue, probing at a capped pace."""
        node = self.node
        node.crew.watch.lapse()
        self._next_probe_s = time.monotonic() + node.crew.profile.probe_s
        if self.offline or self.stop.is_set():
            return
        self.offline = True
        with contextlib.suppress(GitcoordError):
            node.append(node.draft("error", f"offline after {ATTEMPTS - 1} retries: {wrong}",
                                   actor=self.options.agents[0]))
        self.options.say("offline", f"offline: {wrong}; events are queued and go out when it answers")

    def _hold(self, kind: str, wrong: Exception) -> None:
        """Something that a person may have to mend: said once, tried again at a capped pace."""
        self.node.crew.watch.lapse()
        if self._next_probe_s <= time.monotonic() and not self.paused:
            self.options.say(kind, str(wrong))
        self._next_probe_s = time.monotonic() + self.node.crew.profile.probe_s

    def _went_well(self, report: Report) -> None:
        node = self.node
        if self.offline or self.paused:
            self.options.say("online", "online again" if self.offline else "resumed")
        self.offline = self.paused = False
        self._next_probe_s = 0.0
        if report.waiting:
            self._next_probe_s = time.monotonic() + 1.0
        for session in node.crew.sessions:
            if session.line:
                node.home.save_beat(session.agent, session.line)
        self._share_budget()
        self._tell_leader()
        self._log_beat()
        ousted = node.crew.ousted(node.replica.beats())
        if ousted is not None:
            node.crew.sessions.remove(ousted)
            raise Lost(f"{ousted.agent} was taken over by another run of it, elsewhere: this one ends")

    def _share_budget(self) -> None:
        node = self.node
        whole = node.crew.profile.pushes_per_minute
        alive = {beat.node for beat in node.replica.beats() if beat.data.get("state") == "alive"}
        leading = node.crew.leading(node.fleet.terms) is not None
        node.budget.share(whole, leading=leading, nodes=len(alive | {node.disk.node}))
        period = node.crew.profile.beat_s if leading else node.crew.profile.follower_beat_s
        node.crew.stretch = max(1.0, 60 / node.budget.rate / period) if node.budget.rate else 1.0

    def _tell_leader(self) -> None:
        terms = self.node.fleet.terms
        seen = (terms.term, terms.leader, terms.session)
        if seen != self._leader_seen:
            self._leader_seen = seen
            here = " (here)" if self.node.crew.leading(terms) else ""
            self.options.say("leader", f"{terms.leader or 'nobody'} leads term {terms.term}{here}")

    def _log_beat(self) -> None:
        """Where the fleet wants heartbeats in its history, each beat is an event as well."""
        node = self.node
        if node.fleet.states["settings"].settings.heartbeats != "log":
            return
        leading = node.crew.leading(node.fleet.terms)
        now = time.monotonic()
        if now - self._logged_beat_s >= node.crew.beat_period_s(leading is not None):
            self._logged_beat_s = now
            for session in node.crew.sessions:
                node.append(node.draft("heartbeat", f"{session.agent} is alive", actor=session.agent,
                                       data={"session": session.id, "n": session.count}))

    def _sleep(self, end: float | None) -> None:
        """Until the next round is due, the queue changed, a command ended, or it is time to stop."""
        while not self.stop.is_set():
            now = time.monotonic()
            until = min(max(self._due_s, self._next_probe_s), end if end is not None else float("inf"))
            if now >= until:
                return
            if now >= self._next_probe_s and self.node.home.queue.signature() != self._queue_seen:
                return
            if any(reaction.busy for reaction in self.reactions):
                self.stop.wait(min(LOOK_S, until - now))
                return
            self.stop.wait(min(LOOK_S, until - now))

    # Ending

    def _once_done(self, started: float) -> Callable[[], bool]:
        """`--once`: until a leader shows that it lives, or we lead and have done what is due."""
        first: list[object] = []
        bound = self.node.crew.profile.bound_s() * 1.5

        def done() -> bool:
            node = self.node
            if self.offline or time.monotonic() - started > bound:
                return True
            if any(reaction.busy for reaction in self.reactions):
                return False
            if node.crew.leading(node.fleet.terms):
                return not node.disk.pending() and not node.replica.publish(node.replica.branch)
            if not any(session.may_lead for session in node.crew.sessions):
                return True
            first.append(node.crew.watch.sign)
            return node.fleet.terms.leader is not None and node.crew.watch.sign != first[0]

        return done

    def _say_goodbye(self) -> None:
        """Last words: the leader resigns, so that it is replaced at once; every beat says goodbye."""
        node = self.node
        for reaction in self.reactions:
            reaction.kill()
        if not node.crew.sessions:
            return
        lead = node.crew.leading(node.fleet.terms)
        for session in node.crew.sessions:
            session.leaving = True
        node.pause = time.sleep
        deadline = time.monotonic() + GOODBYE_S
        with contextlib.suppress(GitcoordError, filelock.Timeout):
            if lead is not None:
                node.append(node.draft("leader_resigned", f"{lead.agent} resigns: goodbye", actor=lead.agent,
                                       term=node.fleet.terms.term))
            while time.monotonic() < deadline:
                with contextlib.suppress(Unreachable):
                    if not node.sync(lock_timeout_s=GOODBYE_S, urgent=True).waiting:
                        break
                if self.offline:
                    break
                node.pause(0.2)
        self.options.say("goodbye", "goodbye")


def vitals() -> Mapping[str, Any]:
    """The process's own load, for its beat."""
    import psutil

    process = psutil.Process(os.getpid())
    with process.oneshot():
        return {"cpu_pct": round(process.cpu_percent(), 1), "rss_mib": round(process.memory_info().rss / 2**20)}
