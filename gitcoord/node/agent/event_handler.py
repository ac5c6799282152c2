"""The event handler of an agent: a user's command for each event addressed to it, in order, one at a time.

The checkpoint moves when the command ends with 0. If the agent is killed between the two, it handles that event once
more. The command gets the event's id, and the answer's id is derived from it, so the answer counts once. An event on
which the command fails repeatedly becomes a dead letter, so that it does not hold up the later ones forever.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.core.event_types import CORE_EVENTS
from gitcoord.core.fields import as_text
from gitcoord.core.format.event import Event, parse, uid_of
from gitcoord.core.format.raw_line import may_name
from gitcoord.core.names import same_agent, uid_from
from gitcoord.core.text import as_json
from gitcoord.node.clock import utc_now
from gitcoord.node.guards import describe_error
from gitcoord.node.node import Node
from gitcoord.node.process import TERM_S, CapturedOutput, LineOutput, UserCommand
from gitcoord.node.process_environment import command_environment
from gitcoord.store import typed_json
from gitcoord.store.files import pausing, write_durably
from gitcoord.store.home.dead_letters import DeadLetters, Letter

ANSWER_BYTES_MAX = 48 * 1024  # leaves room for the event around it
ATTEMPTS = 5  # at one event, before it becomes a dead letter
RETRY_S = (1.0, 60.0)  # the first pause after a failure, and the longest: it doubles in between
ERRORS_S = 60.0  # between two `error` events about dead letters: an author may send many
DISK_RETRY_S = 1.0  # while the result of a command cannot be written to the disk; it is kept in memory
COMMAND_S_MAX = 3600.0


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    position: int


@dataclass(slots=True)
class _RunningCommand:
    event: Event
    position: int
    command: UserCommand
    output: CapturedOutput | None
    line_outputs: Sequence[LineOutput]
    since_s: float
    replayed: bool  # a dead letter: the checkpoint is beyond it
    problem: str = ""  # why we ended the command

    def enforce_limits(self, now_s: float) -> None:
        """End the command if it prints too much or runs too long."""
        if self.command.floods:
            self.problem = "printed without end"
        elif now_s - self.since_s > COMMAND_S_MAX:
            self.problem = f"did not end in {COMMAND_S_MAX:g} s"
        if self.problem:
            self.command.end()

    def end(self, *, grace_s: float = 0.0) -> None:
        """End the command, and log the rest of what it printed."""
        self.command.end(grace_s=grace_s)
        for output in self.line_outputs:
            output.flush()


class EventHandler:
    """One agent's handling of the events addressed to it."""

    def __init__(
        self,
        node: Node,
        agent: str,
        command: str,
        *,
        reply: bool,
        say: Callable[[str, str], None],
        attempts: int = ATTEMPTS,
        pass_env: Sequence[str] = (),
    ) -> None:
        self.node = node
        self.agent = agent
        self.command = command
        self.reply = reply
        self.pass_env = pass_env
        self.say = say
        self.path = node.home.checkpoint_path(agent)
        self.position = self._read_checkpoint()
        self.attempts = attempts
        self.letters = DeadLetters(node.home.path, agent)
        self._running: _RunningCommand | None = None
        self._failures = 0
        self._not_before_s = 0.0
        self._error_s = -ERRORS_S

    @property
    def busy(self) -> bool:
        return self._running is not None

    def is_due(self, now_s: float) -> bool:
        """Return whether `step` has something to do although no round brought news."""
        if now_s < self._not_before_s:
            return False
        if self._running is None:
            return self._failures > 0 or self.letters.wanted() is not None
        return self._running.command.code is not None or self._running.command.floods

    def step(self, now_s: float) -> bool:
        """Conclude the running command if it has ended, or start the next one. Return True if anything was done."""
        if self._running is not None:
            return self._check_running(self._running, now_s)
        if now_s < self._not_before_s:
            return False
        wanted = self.letters.wanted()
        found = self._replayed_event(wanted) if wanted is not None else self._next_event()
        if found is None:
            return wanted is not None
        position, event = found
        try:
            self._start(position, event, now_s, replayed=wanted is not None)
        except Exception as wrong:  # no content of an event may hold up the later ones
            how = f"could not be started: {describe_error(wrong)}"
            self._failed(event, position, how, now_s, replayed=wanted is not None)
        return True

    def _replayed_event(self, letter: Letter) -> tuple[int, Event] | None:
        """Return the position and the event of a dead letter. If the ledger no longer has the event, note that in the
        letter and return None."""
        position = self.node.fleet.positions.get(letter.event)
        if position is None:
            self.letters.set_aside(replace(letter, replay=False, reason="the ledger no longer has this event"))
            return None
        return position, parse(self.node.replica.branch.line_at()(position))

    def _next_event(self) -> tuple[int, Event] | None:
        """Return the position and the next event addressed to this agent; None if there is none.

        The position up to which nothing was found is kept in memory only: it is not worth an fsync.
        """
        fleet = self.node.fleet
        read = self.node.replica.branch.line_at()
        for position in range(self.position + 1, fleet.position + 1):
            line = read(position)
            if may_name(line, self.agent):  # to parse only the few lines that do
                event = parse(line)
                # A void event has no effect here either.
                if self._is_mine(event) and fleet.positions.get(event.uid) == position:
                    return position, event
            self.position = position
        return None

    def _is_mine(self, event: Event) -> bool:
        if event.type in CORE_EVENTS or event.type == "heartbeat" or same_agent(event.actor, self.agent):
            return False
        return any(same_agent(one, self.agent) for one in event.to)

    def _start(self, position: int, event: Event, now_s: float, *, replayed: bool) -> None:
        words = as_json(
            {"schema": "gitcoord.event/1", "position": position, "level": "sequenced", "event": event.as_json()}
        )
        environment = command_environment(
            os.environ, {"GITCOORD_EVENT_ID": event.uid, "GITCOORD_AGENT": self.agent}, pass_env=self.pass_env
        )
        output = CapturedOutput() if self.reply else None
        line_outputs = [LineOutput(self._tell_printed) for _ in range(2)]  # one for each of the two reading threads
        command = UserCommand(
            self.command,
            stdin=words.encode() + b"\n",
            environment=environment,
            output=output or line_outputs[0],
            errors=line_outputs[1],
        )
        self._running = _RunningCommand(event, position, command, output, line_outputs, now_s, replayed)

    def _tell_printed(self, line: str) -> None:
        self.say("handler", line)

    def _check_running(self, running: _RunningCommand, now_s: float) -> bool:
        running.enforce_limits(now_s)
        code = running.command.code
        if code is None or now_s < self._not_before_s:
            return False
        running.end()
        try:
            self._conclude(running, code, now_s)
        except GitcoordError as wrong:  # the disk or a lock failed: the command is done, and must not run again
            self._not_before_s = now_s + DISK_RETRY_S
            self.say("handler_waits", f"event {running.event.uid[:8]} is handled, but not recorded yet: {wrong}")
            return False
        self._running = None
        return True

    def _conclude(self, running: _RunningCommand, code: int, now_s: float) -> None:
        problem = running.problem or (f"ended with {code}" if code else "")
        if not problem and running.output is not None:
            try:
                problem = self._answer(running.event, bytes(running.output.bytes))
            except GitcoordError:
                raise
            except Exception as wrong:  # whatever the command printed
                problem = f"printed an invalid answer: {describe_error(wrong)}"
        if problem:
            self._failed(running.event, running.position, problem, now_s, replayed=running.replayed)
            return
        if self.letters.tried(running.event.uid) or running.replayed:
            self.letters.remove(running.event.uid)
        if not running.replayed:
            self._go_past(running.event, running.position)
        self._failures, self._not_before_s = 0, 0.0

    def _answer(self, event: Event, output: bytes) -> str:
        """Queue the command's output as an answer. Return why that is impossible; "" if it is done or not needed."""
        text = as_text(output.decode("utf-8", "replace").removesuffix("\n"))
        if len(output) > ANSWER_BYTES_MAX:
            return f"printed more than {ANSWER_BYTES_MAX} bytes"
        if not text or event.type == "answer":
            return ""  # nothing to say; and two agents must not answer each other's answers forever
        nonce = uid_from(hashlib.sha256(f"answer {event.uid} {self.agent.casefold()}".encode()).digest())
        if uid_of(self.agent, nonce) in self.node.fleet.positions:
            return ""
        try:
            self.node.append(
                self.node.draft("answer", text, actor=self.agent, re=event.uid, to=[event.actor], uid=nonce)
            )
        except Refused as wrong:
            return f"printed an invalid answer: {wrong}"
        return ""

    def _failed(self, event: Event, position: int, how: str, now_s: float, *, replayed: bool) -> None:
        """Schedule a retry, or make the event a dead letter: durably, BEFORE the checkpoint moves past it."""
        failures = self.letters.tried(event.uid) + 1
        text = f"handling event {event.uid[:8]} failed: the command {how}"
        self.say("handler_failed", text)
        if failures < self.attempts:
            self.letters.note_failure(event.uid, failures)
            self._failures = failures
            self._not_before_s = now_s + min(RETRY_S[0] * 2 ** (failures - 1), RETRY_S[1])
            return
        self.letters.set_aside(
            Letter(event.uid, position, event.actor, event.type, event.content, failures, how, utc_now())
        )
        if not replayed:
            self._go_past(event, position)
        self._failures, self._not_before_s = 0, 0.0
        self.say("set_aside", f"event {event.uid[:8]} is set aside: `gitcoord inbox --failed` shows it")
        if now_s - self._error_s >= ERRORS_S:
            self._error_s = now_s
            with contextlib.suppress(GitcoordError):  # the letter is kept, and `status` shows it
                self.node.append(
                    self.node.draft(
                        "error", f"{text}, {failures} times in a row; it is set aside", actor=self.agent, re=event.uid
                    )
                )

    def ask_to_end(self) -> None:
        """Ask the running command to end (SIGTERM)."""
        if self._running is not None:
            self._running.command.ask_to_end()

    def end(self) -> None:
        """End the running command and whatever it started. The next run handles its event again."""
        if self._running is not None:
            self._running.command.ask_to_end()
            self._running.end(grace_s=TERM_S)
            self._running = None

    def _read_checkpoint(self) -> int:
        try:
            return max(0, typed_json.read(_Checkpoint, self.path.read_bytes()).position)
        except FileNotFoundError:
            return 0
        except ValueError:
            self.say("checkpoint", f"{self.path.name} cannot be read: starting from the first event again")
            return 0

    def _go_past(self, event: Event, position: int) -> None:
        """Move the checkpoint, durably."""
        state = self.node.fleet.states["conversation"]
        value = {
            "agent": self.agent,
            "interaction": state.numbers[position - 1] or None,
            "position": position,
            "event": event.uid,
        }
        with pausing(self.node.home.path):
            write_durably(self.path, json.dumps(value).encode() + b"\n")
        self.position = position
