"""Reactions of an agent: a command of the user's for each event addressed to it, in order, one at a time.

The checkpoint moves when the command ends with 0. Killed between the two, the agent handles that event once
more; the command is told the event's id, and the answer's own id follows from it, so it counts once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from gitcoord.core.event import Event
from gitcoord.core.fleet import CORE_EVENTS, Fleet
from gitcoord.core.names import same_agent, uid_from
from gitcoord.node.node import Node
from gitcoord.store.files import write_durably

ANSWER_BYTES_MAX = 48 * 1024  # leaves room for the event around it
FAILURES_TOLD = 5  # in a row, before an `error` event says so
RETRY_S = (1.0, 60.0)  # after a failure: doubles from the first to the second
COMMAND_S_MAX = 3600.0


@dataclass(slots=True)
class _Running:
    event: Event
    position: int
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    since_s: float


class Reaction:
    """One agent's handling of what is addressed to it."""

    def __init__(self, node: Node, agent: str, command: str, *, reply: bool, say: Callable[[str, str], None]) -> None:
        self.node = node
        self.agent = agent
        self.command = command
        self.reply = reply
        self.say = say
        self.path = node.home.checkpoint_path(agent)
        self.position = self._read_checkpoint()
        self._running: _Running | None = None
        self._failures = 0
        self._not_before_s = 0.0

    @property
    def busy(self) -> bool:
        return self._running is not None

    def step(self, now_s: float) -> bool:
        """Look after the running command, or start the next. True if anything was done."""
        if self._running is not None:
            return self._look_after(self._running, now_s)
        if now_s < self._not_before_s:
            return False
        for position, event in self.node.events(self.position):
            if self._is_mine(position, event):
                self._start(position, event, now_s)
                return True
            self.position = position  # nothing to handle: remembered in memory, not worth a sync
        return False

    def _is_mine(self, position: int, event: Event) -> bool:
        fleet: Fleet = self.node.fleet
        if event.type in CORE_EVENTS or event.type == "heartbeat" or same_agent(event.actor, self.agent):
            return False
        if not any(same_agent(one, self.agent) for one in event.to):
            return False
        return fleet.positions.get(event.uid) == position  # a void event has no effect here either

    def _start(self, position: int, event: Event, now_s: float) -> None:
        words = json.dumps({"schema": "gitcoord.event/1", "position": position, "level": "sequenced",
                            "event": event.as_json()}, ensure_ascii=False)
        given, output = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        given.write(words.encode() + b"\n")
        given.seek(0)
        environment = {**os.environ, "GITCOORD_EVENT_ID": event.uid, "GITCOORD_AGENT": self.agent}
        with given:
            process = subprocess.Popen(self.command, shell=True, stdin=given, stdout=output, env=environment,
                                       start_new_session=True)
        self._running = _Running(event, position, process, output, now_s)

    def _look_after(self, running: _Running, now_s: float) -> bool:
        code = running.process.poll()
        if code is None:
            if now_s - running.since_s > COMMAND_S_MAX:
                self.kill()
            return False
        self._running = None
        with running.output as output:
            output.seek(0)
            answer = output.read(ANSWER_BYTES_MAX + 1)
        if code != 0:
            self._failed(running, f"ended with {code}", now_s)
            return True
        if self.reply and not self._answer(running, answer, now_s):
            return True
        self._failures = 0
        self.position = running.position
        self._write_checkpoint(running)
        return True

    def _answer(self, running: _Running, output: bytes, now_s: float) -> bool:
        text = output.decode("utf-8", "replace").removesuffix("\n")
        if len(output) > ANSWER_BYTES_MAX:
            self._failed(running, f"printed more than {ANSWER_BYTES_MAX} bytes", now_s)
            return False
        event = running.event
        if not text or event.type == "answer":
            return True  # nothing to say; and two agents must not answer each other's answers for ever
        uid = uid_from(hashlib.sha256(f"answer {event.uid} {self.agent.casefold()}".encode()).digest())
        if uid not in self.node.fleet.positions:
            self.node.append(self.node.draft("answer", text, actor=self.agent, re=event.uid, to=[event.actor], uid=uid))
        return True

    def _failed(self, running: _Running, how: str, now_s: float) -> None:
        self._failures += 1
        self._not_before_s = now_s + min(RETRY_S[0] * 2 ** (self._failures - 1), RETRY_S[1])
        text = f"handling event {running.event.uid[:8]} failed: the command {how}"
        self.say("handler_failed", text)
        if self._failures == FAILURES_TOLD:
            self.node.append(self.node.draft("error", f"{text}, {self._failures} times in a row", actor=self.agent,
                                             re=running.event.uid))

    def kill(self) -> None:
        """End the running command and whatever it started."""
        if self._running is None:
            return
        with contextlib.suppress(ProcessLookupError, AttributeError):
            os.killpg(self._running.process.pid, signal.SIGKILL)

    def _read_checkpoint(self) -> int:
        try:
            value: Any = json.loads(self.path.read_bytes())
            return int(value["position"])
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError):
            self.say("checkpoint", f"{self.path.name} cannot be read: starting from the first event again")
            return 0

    def _write_checkpoint(self, running: _Running) -> None:
        state = self.node.fleet.states["conversation"]
        value = {"agent": self.agent, "interaction": state.numbers[running.position - 1] or None,
                 "position": running.position, "event": running.event.uid}
        write_durably(self.path, json.dumps(value).encode() + b"\n")
