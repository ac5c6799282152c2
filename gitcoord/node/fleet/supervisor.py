"""The supervisor: runs the agents of a fleet file on its node, in the order of their dependencies, and restarts those
that crashed.

The leader decides whether an agent is restarted: the supervisor reports a crash at once, restarts the agent if the
leader asks for it (`restart_requested`), and records that. Only if nobody leads does the supervisor decide by itself.
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

from gitcoord.core.errors import Corrupt, GitcoordError, Lost, Moved, Refused, Unreachable
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

CHECK_S = 0.2  # between two checks of the processes: a crash is reported within it
STOP_S = 40.0  # for the agents to say goodbye; they may finish work in progress first
RUNS_ALREADY = "a supervisor runs on this node already: `gitcoord fleet stop` ends it"
LEADERLESS_BOUNDS = 2.0  # times the bound of an election, after which a fleet without a leader counts as leaderless


class Supervisor:
    """The supervisor of one node. When `run` returns, nothing that it started is left."""

    def __init__(
        self, node: Node, fleet_file: FleetFile, *, folder: Path, say: Callable[[str, str], None], stop: StopFlag
    ) -> None:
        self.node = node
        node.writer.on_secret = OnSecret.HIDE  # an unattended run cannot correct a refused event
        self.fleet_file = fleet_file
        self.folder = folder
        self.say = say
        self.stop = stop
        self.children = {name.casefold(): AgentProcess(name, one) for name, one in fleet_file.agents.items()}
        self._answered: set[str] = set()  # ids of recoveries
        self._written: object = None
        self._guard = Guards(say)
        self._sync_s = 0.0

    def run(self) -> None:
        """Run until told to stop. Raise Lost if a supervisor runs here already, Refused if an agent cannot be
        registered as the file says."""
        with self._only_one(), self.stop.on_signals():
            self._write_status()
            self._enrol()
            try:
                while not self.stop.is_set():
                    if not self.node.home.exists:
                        raise Refused("this clone has left the fleet: `gitcoord init --agent NAME` joins again")
                    self._guard.run("the supervisor", self._turn, otherwise=None, now_s=time.monotonic())
                    self.stop.wait(CHECK_S)
            finally:
                self._end()

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        lock = filelock.FileLock(sharing.touch(_lock_path(self.node.home)))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise Lost(RUNS_ALREADY) from None
        try:
            yield
        finally:
            _status_path(self.node.home).unlink(missing_ok=True)
            lock.release()

    def _enrol(self) -> None:
        """Let all agents join, then register them: a registration may name other agents. Retry while they cannot join.

        Registrations may wait in the queue: the agents start even if the remote is unreachable by then.
        """
        reported = None
        while (wrong := _retryable(self._join_all)) is not None:
            if reported is not type(wrong):
                reported = type(wrong)
                self.say("unreachable", f"{wrong}; retrying: the agents start as soon as all have joined")
            if self.stop.wait(self.node.profile.probe_s):
                return
        for child in self.children.values():
            proposals = agents.announced(submit.context(self.node, child.id), **child.spec.registration)
            self.node.append(*self.node.drafted(proposals, actor=child.id))
        wrong = _retryable(self.node.sync)
        if wrong is not None:
            self.say("unreachable", f"{wrong}; starting all the same, events are queued")

    def _join_all(self) -> None:
        """Let the agents join that are no members yet. Raise Unreachable until the ledger has all of them."""
        fleet = self.node.fleet
        for child in self.children.values():
            member = fleet.members.get(child.id)
            if member is None or member.left:
                init(self.folder, InitRequest(agent=child.id)).node.close()
        joining = [event for event in self.node.disk.pending() if event.type == "agent_joined"]
        waiting = [event.actor for event in joining if self.node.fleet.position_of(event) is None]
        waiting = [name for name in waiting if name.casefold() in self.children]
        if waiting:
            raise Unreachable(f"the remote does not know yet that {', '.join(waiting)} joined")

    # Turns

    def _turn(self) -> None:
        self._sync_if_idle()
        heartbeats = self._heartbeats()
        for child in self.children.values():
            self._check(child, heartbeats)
        self._guard.run("recoveries", self._answer_all, otherwise=None, now_s=time.monotonic())
        liveness = peers.agent_liveness(self.node)
        for child in self.children.values():
            if child.state == WAITING and all(self._is_up(one, liveness) for one in child.spec.depends_on):
                self._start(child)
            elif child.state == CRASHED and self._may_restart_unasked(child, liveness):
                self.say("alone", f"nobody leads: {child.id} is restarted without a leader's request")
                self._start(child)
        self._write_status()

    def _sync_if_idle(self) -> None:
        """Sync if no agent runs here: a running agent syncs for the whole node."""
        now_s = time.monotonic()
        if now_s >= self._sync_s and not self.node.home.running():
            self._sync_s = now_s + self.node.profile.poll_s
            with contextlib.suppress(GitcoordError, filelock.Timeout):
                self.node.sync(tick=False)

    def _heartbeats(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the data of the newest heartbeats of the agents that run on this node, by agent id (casefolded)."""
        heartbeats = [parse(line) for line in self.node.home.neighbours()]
        return {
            heartbeat.actor.casefold(): heartbeat.data
            for heartbeat in heartbeats
            if heartbeat.data.get("state") == "alive"
        }

    def _check(self, child: AgentProcess, heartbeats: Mapping[str, Mapping[str, Any]]) -> None:
        """Report a child that crashed. One that ended by itself (exit code 0) or runs elsewhere (3) has not crashed."""
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
        text = f"{child.id} crashed ({describe_exit(code)})"
        self.say("crashed", text)
        with contextlib.suppress(GitcoordError):  # the disk failed: the leader notices the missing heartbeats as well
            self.node.append(
                self.node.draft("agent_exited", text, actor=child.id, data={"session": child.session, "code": code})
            )

    def _answer_all(self) -> None:
        for recovery in list(self.node.fleet.states["recovery"].recoveries.values()):
            self._answer(recovery)

    def _answer(self, recovery: Recovery) -> None:
        """Restart the agent if the leader asked for it, and record that. An agent that sends heartbeats is not
        restarted, which is recorded too."""
        child = self.children.get(recovery.agent.casefold())
        wanted = recovery.tried("restart") and not recovery.tried("restarted") and not recovery.outcome
        if child is None or not wanted or recovery.id in self._answered:
            return
        if child.process is not None and child.hangs:
            self.say("hangs", f"{child.id} runs but sends no heartbeats: it is killed")
            child.end()
        text = f"{child.id} runs, it was only slow"
        if child.process is None:
            text = f"{child.id} is started again"
            self._start(child)
        if child.process is not None:
            self._answered.add(recovery.id)
            self.node.append(
                self.node.draft(
                    "agent_restarted",
                    text,
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

    def _may_restart_unasked(self, child: AgentProcess, liveness: Mapping[str, AgentLiveness]) -> bool:
        """Return whether nobody leads, although an election would be over by now, and the fleet permits restarts."""
        if time.monotonic() - child.changed_s < LEADERLESS_BOUNDS * self.node.profile.bound_s():
            return False
        settings = self.node.fleet.states["settings"].settings
        leader = liveness.get((self.node.fleet.terms.leader or "").casefold())
        leads = leader is not None and leader.state == ALIVE
        return not leads and "restart" in settings.recovery and child.starts <= settings.restarts_max

    def _start(self, child: AgentProcess) -> None:
        try:
            child.start(self.folder, self.fleet_file.path)
        except (OSError, ValueError) as wrong:  # ValueError: a NUL in a text of the file
            child.becomes(CRASHED)
            self.say("crashed", f"{child.id} could not be started: {wrong}")
        else:
            self.say("start", f"{child.id} starts (process {child.process.pid if child.process else 0})")

    def _write_status(self) -> None:
        value = {
            "pid": os.getpid(),
            "file": str(self.fleet_file.path.resolve()),
            "agents": [one.to_row() for one in self.children.values()],
        }
        if value != self._written:
            with contextlib.suppress(OSError):
                write_quickly(_status_path(self.node.home), json.dumps(value).encode())
                self._written = value

    def _end(self) -> None:
        """Ask all agents at once to end, so that each says goodbye. Kill those that still run after STOP_S."""
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
    """The supervisor's process id, its fleet file, and its agents (as `AgentProcess.to_row` describes them)."""

    pid: int
    file: str
    agents: list[dict[str, Any]]


def check_alone(home: Home) -> None:
    """Raise Lost if a supervisor runs here."""
    if is_held(_lock_path(home)):
        raise Lost(RUNS_ALREADY)


def status(home: Home) -> SupervisorStatus | None:
    """Return the supervisor's status; None if none runs here or its file cannot be read."""
    if not is_held(_lock_path(home)):
        return None
    with contextlib.suppress(OSError, ValueError):
        return typed_json.read(SupervisorStatus, _status_path(home).read_bytes())
    return None


def _retryable(step: Callable[[], object]) -> GitcoordError | None:
    """Run `step`. Return its error if a retry may overcome that (the remote, a lock, another fleet's ledger)."""
    try:
        step()
    except (Unreachable, Lost, LockHeld, Corrupt, Moved) as wrong:
        return wrong
    return None


def _lock_path(home: Home) -> Path:
    return home.path / "supervisor.lock"


def _status_path(home: Home) -> Path:
    return home.path / "supervisor.json"
