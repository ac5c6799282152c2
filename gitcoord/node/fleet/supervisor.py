"""A supervisor: runs the agents of a fleet file on its node, in the order of their needs, and starts crashed ones
again.

The leader decides whether an agent is started again (`restart_requested`): the supervisor reports the crash at once,
and answers. Only if nobody leads does it decide by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from gitcoord.core.errors import Corrupt, GitcoordError, Lost, Refused, Unreachable
from gitcoord.core.format.event import parse
from gitcoord.core.liveness import ALIVE, AgentLiveness
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.features import agents
from gitcoord.features.recovery.state import Recovery
from gitcoord.node import peers
from gitcoord.node.fleet.child import CRASHED, ENDED, UP, WAITING, AgentProcess, describe_exit
from gitcoord.node.fleet.fleet_file import FleetFile
from gitcoord.node.guards import Guards
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node
from gitcoord.node.operations import submit
from gitcoord.node.shutdown import StopFlag
from gitcoord.store import typed_json
from gitcoord.store.files import write_quickly
from gitcoord.store.home import sharing
from gitcoord.store.home.home import Home
from gitcoord.store.home.locks import LockHeld, is_held

LOOK_S = 0.2  # between two looks at the processes: a crash is reported within it
STOP_S = 40.0  # for the agents' last words: begun work may end first
TWO = "a supervisor runs on this node already: `gitcoord fleet stop` ends it"
ALONE_BOUNDS = 2.0  # after so many times an election's time without a leader, nobody leads


class Supervisor:
    """The supervisor of one node. When `run` returns, nothing that it started is left."""

    def __init__(
        self, node: Node, plan: FleetFile, *, folder: Path, say: Callable[[str, str], None], stop: StopFlag
    ) -> None:
        self.node = node
        node.writer.on_secret = OnSecret.HIDE  # nobody is here to read a refusal, and what happened counts
        self.plan = plan
        self.folder = folder
        self.say = say
        self.stop = stop
        self.children = {name.casefold(): AgentProcess(name, one) for name, one in plan.agents.items()}
        self._answered: set[str] = set()  # recoveries
        self._written: object = None
        self._guard = Guards(say)
        self._sync_s = 0.0

    def run(self) -> None:
        """Run until told to stop. Raise Lost if another one runs here, Refused if an agent cannot be as the file
        says."""
        with self._only_one(), self.stop.on_signals():
            self._write_status()
            self._enrol()
            try:
                while not self.stop.is_set():
                    if not self.node.home.exists:
                        raise Refused("this clone has left the fleet: `gitcoord init --agent NAME` joins again")
                    self._guard.run("the supervisor", self._turn, otherwise=None, now_s=time.monotonic())
                    self.stop.wait(LOOK_S)
            finally:
                self._end()

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        lock = filelock.FileLock(sharing.touch(_lock_path(self.node.home)))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise Lost(TWO) from None
        try:
            yield
        finally:
            _status_path(self.node.home).unlink(missing_ok=True)
            lock.release()

    def _enrol(self) -> None:
        """Let all agents join before any registers: each may name the others. While they cannot, wait and try again.

        What only waits in the queue holds nobody up: agents start without the remote as well.
        """
        told = None
        while (wrong := _later(self._join_all)) is not None:
            if told is not type(wrong):
                told = type(wrong)
                self.say("unreachable", f"{wrong}; the agents start as soon as all have joined, it is tried again")
            if self.stop.wait(self.node.profile.probe_s):
                return
        for child in self.children.values():
            proposals = agents.announced(submit.context(self.node, child.id), **child.spec.registration)
            self.node.append(*self.node.drafted(proposals, actor=child.id))
        wrong = _later(self.node.sync)
        if wrong is not None:
            self.say("unreachable", f"{wrong}; starting all the same, events are queued")

    def _join_all(self) -> None:
        """Let the agents join that are no members. Raise Unreachable while the ledger does not hold that."""
        fleet = self.node.fleet
        for child in self.children.values():
            member = fleet.members.get(child.id)
            if member is None or member.left:
                init(self.folder, InitRequest(agent=child.id)).node.close()
        joining = [event for event in self.node.disk.pending() if event.type == "agent_joined"]
        waiting = [event.actor for event in joining if self.node.fleet.position_of(event) is None]
        waiting = [name for name in waiting if name.casefold() in self.children]
        if waiting:
            raise Unreachable(f"that {', '.join(waiting)} joined is on this disk only")

    # Going on

    def _turn(self) -> None:
        self._keep_in_touch()
        heartbeats = self._heartbeats()
        for child in self.children.values():
            self._look_at(child, heartbeats)
        self._guard.run("recoveries", self._answer_all, otherwise=None, now_s=time.monotonic())
        liveness = peers.agent_liveness(self.node)
        for child in self.children.values():
            if child.state == WAITING and all(self._is_up(one, liveness) for one in child.spec.depends_on):
                self._start(child)
            elif child.state == CRASHED and self._is_alone(child, liveness):
                self.say("alone", f"nobody leads: {child.id} is started again without being asked to")
                self._start(child)
        self._write_status()

    def _keep_in_touch(self) -> None:
        """Sync while no agent runs: otherwise the agents sync for the whole node."""
        now_s = time.monotonic()
        if now_s >= self._sync_s and not self.node.home.running():
            self._sync_s = now_s + self.node.profile.poll_s
            with contextlib.suppress(GitcoordError, filelock.Timeout):
                self.node.sync(tick=False)

    def _heartbeats(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the newest heartbeats of the agents that run on this node, by agent (casefolded)."""
        heartbeats = [parse(line) for line in self.node.home.neighbours()]
        return {
            heartbeat.actor.casefold(): heartbeat.data
            for heartbeat in heartbeats
            if heartbeat.data.get("state") == "alive"
        }

    def _look_at(self, child: AgentProcess, heartbeats: Mapping[str, Mapping[str, Any]]) -> None:
        """Report a child that crashed; leave one alone that ended by itself (0), or runs elsewhere (3)."""
        if child.process is None:
            return
        code = child.process.poll()
        if code is None:
            if child.see(heartbeats.get(child.id.casefold())):
                self.say("up", f"{child.id} is up")
            return
        child.end()
        if code in (0, Lost.exit_code):
            child.becomes(ENDED)
            self.say("ended", f"{child.id} ended" if code == 0 else f"{child.id} runs elsewhere, or was taken over")
            return
        child.becomes(CRASHED)
        words = f"{child.id} crashed ({describe_exit(code)})"
        self.say("crashed", words)
        with contextlib.suppress(GitcoordError):  # the disk: its silence tells the leader as well
            self.node.append(
                self.node.draft("agent_exited", words, actor=child.id, data={"session": child.session, "code": code})
            )

    def _answer_all(self) -> None:
        for recovery in list(self.node.fleet.states["recovery"].recoveries.values()):
            self._answer(recovery)

    def _answer(self, recovery: Recovery) -> None:
        """Start again the agent that the leader wants restarted. One that heartbeats is left alone, and that is
        reported too."""
        child = self.children.get(recovery.agent.casefold())
        wanted = recovery.tried("restart") and not recovery.tried("restarted") and not recovery.outcome
        if child is None or not wanted or recovery.id in self._answered:
            return
        if child.process is not None and child.hangs:
            self.say("hangs", f"{child.id} runs but does not heartbeat: it is ended")
            child.end()
        words = f"{child.id} runs, it was only slow"
        if child.process is None:
            words = f"{child.id} is started again"
            self._start(child)
        if child.process is not None:
            self._answered.add(recovery.id)
            self.node.append(
                self.node.draft(
                    "agent_restarted",
                    words,
                    actor=child.id,
                    re=recovery.id,
                    data={"agent": child.id, "pid": child.process.pid},
                )
            )

    def _is_up(self, name: str, liveness: Mapping[str, AgentLiveness]) -> bool:
        child = self.children.get(name.casefold())
        if child is not None:
            return child.state == UP
        known = liveness.get(name.casefold())
        return known is not None and known.state == ALIVE

    def _is_alone(self, child: AgentProcess, liveness: Mapping[str, AgentLiveness]) -> bool:
        """Return whether nobody leads, for so long that an election would be over."""
        if time.monotonic() - child.changed_s < ALONE_BOUNDS * self.node.profile.bound_s():
            return False
        settings = self.node.fleet.states["settings"].settings
        leader = liveness.get((self.node.fleet.terms.leader or "").casefold())
        leads = leader is not None and leader.state == ALIVE
        return not leads and "restart" in settings.recovery and child.starts <= settings.restarts_max

    def _start(self, child: AgentProcess) -> None:
        try:
            child.start(self.folder, self.plan.path)
        except (OSError, ValueError) as wrong:  # ValueError: a NUL in a word of the file
            child.becomes(CRASHED)
            self.say("crashed", f"{child.id} could not be started: {wrong}")
        else:
            self.say("start", f"{child.id} starts (process {child.process.pid if child.process else 0})")

    def _write_status(self) -> None:
        value = {
            "pid": os.getpid(),
            "file": str(self.plan.path.resolve()),
            "agents": [one.to_row() for one in self.children.values()],
        }
        if value != self._written:
            with contextlib.suppress(OSError):
                write_quickly(_status_path(self.node.home), json.dumps(value).encode())
                self._written = value

    def _end(self) -> None:
        """End all at once: each says goodbye for itself. After the time is up they are killed."""
        running = [one.process for one in self.children.values() if one.process is not None]
        for process in running:
            process.terminate()
        until_s = time.monotonic() + STOP_S
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0 if self.stop.at_once else max(0.0, until_s - time.monotonic()))
        for child in self.children.values():
            child.end()
        self.say("goodbye", "all agents of the file have ended")


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """The supervisor's own account of itself and its agents."""

    pid: int
    file: str
    agents: list[dict[str, Any]]


def check_alone(home: Home) -> None:
    """Raise Lost if a supervisor runs here."""
    if is_held(_lock_path(home)):
        raise Lost(TWO)


def status(home: Home) -> SupervisorStatus | None:
    """Return the supervisor's status; None if none runs here."""
    if not is_held(_lock_path(home)):
        return None
    with contextlib.suppress(OSError, ValueError):
        return typed_json.read(SupervisorStatus, _status_path(home).read_bytes())
    return None


def _later(step: Callable[[], object]) -> GitcoordError | None:
    """Return what went wrong and may go well later: the remote, a lock, another fleet's ledger. Raise all else."""
    try:
        step()
    except (Unreachable, Lost, LockHeld, Corrupt) as wrong:
        return wrong
    return None


def _lock_path(home: Home) -> Path:
    return home.path / "supervisor.lock"


def _status_path(home: Home) -> Path:
    return home.path / "supervisor.json"
