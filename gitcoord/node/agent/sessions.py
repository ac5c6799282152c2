"""Sessions: an agent may write from many nodes, but runs on one at a time. A second run is refused and told where the
first one runs."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import filelock

from gitcoord.core.errors import BadCredentials, Denied, GitcoordError, Lost, Refused
from gitcoord.core.format.event import Event
from gitcoord.core.leadership.session import Session
from gitcoord.core.names import same_agent
from gitcoord.node import peers
from gitcoord.node.clock import since_boot_s
from gitcoord.node.node import Node

LOCK_S = 0.5  # another process may hold the lock for a moment, to check whether it is held


@contextlib.contextmanager
def locked(node: Node, agents: Sequence[str]) -> Iterator[None]:
    """Hold the agents' run locks. Raise Lost if one of the agents runs on this node already."""
    with contextlib.ExitStack() as held:
        for agent in agents:
            try:
                held.enter_context(node.home.run_lock(agent).acquire(timeout=LOCK_S))
            except filelock.Timeout:
                raise Lost(f"{agent} runs on this node already ({node.disk.node}): stop that run first") from None
        yield


def elsewhere(node: Node, agent: str) -> dict[str, Mapping[str, Any]]:
    """Return the data of the agent's heartbeats from other nodes, by node id, without those that said goodbye."""
    return {
        heartbeat.node: heartbeat.data
        for heartbeat in node.replica.heartbeats()
        if same_agent(heartbeat.actor, agent)
        and heartbeat.node != node.disk.node
        and heartbeat.data.get("state") == "alive"
        and isinstance(heartbeat.data.get("n"), int)
        and isinstance(heartbeat.data.get("session"), str)
    }


@dataclass(slots=True)
class AgentSessions:
    """The sessions of this process's agents, and other runs that claim to be one of them."""

    node: Node
    say: Callable[[str, str], None]
    stopped: Callable[[], bool]
    _first_seen: dict[str, tuple[str, int]] = field(default_factory=dict)  # agent and node → session and count
    _logged_s: float = 0.0  # when heartbeats were last written as events

    def names(self, agents: Sequence[str]) -> list[str]:
        """Return the agents' ids in the fleet's spelling, each once. Raise Refused for an agent that has not joined."""
        names: dict[str, str] = {}
        for agent in agents:
            self.node.keyring.signer(agent)
            member = self.node.fleet.members.get(agent)
            joining = [
                e.actor for e in self.node.disk.pending() if e.type == "agent_joined" and same_agent(e.actor, agent)
            ]
            if member is None and not joining and self.node.fleet.position:
                raise Refused(f"{agent} has not joined this fleet: run `gitcoord init --agent '{agent}'`")
            names[agent.casefold()] = member.id if member is not None else joining[0] if joining else agent
        return list(names.values())

    def take(self, agent: str, *, may_lead: bool, takeover: bool) -> Session:
        """Return a new session for the agent as soon as no other run of it is alive. Raise Lost if one is alive."""
        node = self.node
        session = Session(agent, secrets.token_hex(6), node.keyring.signer(agent), may_lead=may_lead)
        terms = node.fleet.terms
        if terms.leader == session.agent and terms.node == node.disk.node:
            session.replaces_session = terms.session  # we hold its run lock: no other session of it lives here
        others = elsewhere(node, agent)
        if others and takeover:
            session.takes_over_from = str(others[self._newest(agent, others)]["session"])
        elif others:
            self._watch(agent, others)
            gone = {data["session"] for data in others.values()}
            if node.fleet.terms.session in gone:
                session.replaces_session = node.fleet.terms.session
        node.local.sessions.append(session)
        return session

    def _newest(self, agent: str, others: Mapping[str, Any]) -> str:
        """Return the id of the node whose heartbeat of the agent changed last, as seen from here."""
        known, _ = peers.observations(self.node.home.cache)
        moved = {one.node: one.since_s for one in known if same_agent(one.agent, agent)}
        return max(others, key=lambda node: moved.get(node, 0.0))

    def _watch(self, agent: str, others: Mapping[str, Mapping[str, Any]]) -> None:
        """Wait for the time of two promised heartbeats: silence proves that the other run is gone. Raise Lost if it
        sends a heartbeat."""
        poll_s = self.node.local.profile.poll_s
        patience = 2 * max(_promise_s(data) for data in others.values()) + poll_s
        self.say(
            "checking",
            f"{agent} has a heartbeat on node {', '.join(others)}: waiting {patience:.0f} s "
            "to see whether it still runs there (--takeover does not wait)",
        )
        polls, deadline = 0, time.monotonic() + patience
        while (time.monotonic() < deadline or polls < 2) and not self.stopped():
            self.node.pause(poll_s)
            try:
                self.node.sync(tick=False)
            except (BadCredentials, Denied):
                raise
            except (GitcoordError, filelock.Timeout):
                deadline += poll_s  # our own outage proves nothing about the other run
                continue
            polls += 1
            for name, data in elsewhere(self.node, agent).items():
                before = others.get(name, {})
                if (data["session"], data["n"]) != (before.get("session"), before.get("n")):
                    raise Lost(f"{agent} runs on node {name}: stop it there, or start this one with --takeover")

    def log_heartbeats(self) -> None:
        """Write each heartbeat as an event as well, if the fleet wants heartbeats in its history."""
        node = self.node
        if node.fleet.states["settings"].settings.heartbeats != "log":
            return
        leading = node.local.leading(node.fleet.terms)
        now = since_boot_s()
        if now - self._logged_s >= node.local.heartbeat_period_s(leading is not None):
            self._logged_s = now
            with contextlib.suppress(GitcoordError):
                node.append(
                    *[
                        node.draft(
                            "heartbeat",
                            f"{session.agent} is alive",
                            actor=session.agent,
                            data={"session": session.id, "n": session.count},
                        )
                        for session in node.local.sessions
                    ]
                )

    def lost(self, session: Session, heartbeats: Sequence[Event]) -> str | None:
        """Return why a session has to end: another run took over, or both began at once and the other one stays."""
        for heartbeat in heartbeats:
            if heartbeat.actor == session.agent and heartbeat.data.get("takes_over_from") == session.id:
                return f"{session.agent} was taken over by its run on node {heartbeat.node}: this one ends"
        for name, data in elsewhere(self.node, session.agent).items():
            now = (str(data["session"]), int(data["n"]))
            first = self._first_seen.setdefault(f"{session.agent}\0{name}", now)
            # Both see each other; the smaller session id stays, so that exactly one ends.
            if now != first and now[0] not in (session.id, session.takes_over_from) and now[0] < session.id:
                return f"{session.agent} runs on node {name} as well, started at the same time: this one ends"
        return None


def _promise_s(data: Mapping[str, Any]) -> float:
    """Return in how many seconds a heartbeat promises the next one; 1 if it does not say."""
    promise = data.get("next_s")
    return min(float(promise), 600.0) if isinstance(promise, int | float) else 1.0


def heartbeat_extras() -> Callable[[], Mapping[str, Any]]:
    """Return a function that measures the process's load since its last call, as fields of a heartbeat."""
    import psutil

    process = psutil.Process(os.getpid())
    process.cpu_percent()

    def measure() -> Mapping[str, Any]:
        with process.oneshot():
            return {"cpu_pct": round(process.cpu_percent(), 1), "rss_mib": round(process.memory_info().rss / 2**20)}

    return measure
