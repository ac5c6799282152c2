"""An attempt at a task: a user's command in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitcoord.core.errors import Refused
from gitcoord.core.fields import REASON_CHARS_MAX, WORDS_CHARS_MAX, as_name, as_text
from gitcoord.core.text import Place, as_json, fit
from gitcoord.features.tasks.events import ARTIFACTS_MAX
from gitcoord.node.process import TERM_S, UserCommand
from gitcoord.node.process_environment import command_environment
from gitcoord.node.tasks import handler
from gitcoord.node.tasks.branch_pushes import BranchPush
from gitcoord.node.tasks.workspace import Workspace
from gitcoord.store import program

HANDED_BACK = 75  # EX_TEMPFAIL of sysexits.h: not now, not here
TAIL_BYTES = 15_000  # of the output: its end shows how it went; a result may have 16,000 characters
REASON_END_CHARS = 400  # of the output, in the reason of a failure
LINE_BYTES_MAX = 4096
NOTES_MAX = 1000  # notes read from the output and not yet handled; more are dropped
NAME_CHARS_MAX = 500  # of an artifact
MARK = b"::"
CHECK_S = 60.0  # to import a handler's module and all that it imports


class Tail:
    """The end of one stream's output, without the lines that report progress, such as `::progress 0.4 x`."""

    flood_bytes = 64 * 1024 * 1024  # a long build prints less; this much is an error in a loop

    def __init__(self, notes: queue.Queue[tuple[str, str]]) -> None:
        self.text = bytearray()
        self.notes = notes  # pairs of a keyword and the rest of its line
        self._line = bytearray()

    def take(self, chunk: bytes) -> None:
        """Add output: put progress lines into `notes`, and keep the end of everything else."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._take_line(bytes(self._line + line))
            self._line.clear()
        self._line += rest
        if len(self._line) > LINE_BYTES_MAX:
            self._add(bytes(self._line))
            self._line.clear()

    def finish(self) -> str:
        """Return the end of the output. The stream has ended."""
        if self._line:
            self._take_line(bytes(self._line))
            self._line.clear()
        return as_text(self.text.decode("utf-8", "replace").removesuffix("\n"))

    def _take_line(self, line: bytes) -> None:
        word, _, rest = line.removeprefix(MARK).decode("utf-8", "replace").strip().partition(" ")
        if line.startswith(MARK) and word in ("progress", "artifact", "input"):
            with contextlib.suppress(queue.Full):
                self.notes.put_nowait((word, rest.strip()))
        else:
            self._add(line + b"\n")

    def _add(self, some: bytes) -> None:
        self.text += some
        del self.text[:-TAIL_BYTES]


@dataclass(slots=True)
class RunningAttempt:
    """A running attempt. `problem` says why we ended it; if it is `dropped`, nobody waits for its outcome any more."""

    task: str
    attempt: int
    agent: str
    command: UserCommand
    output: Tail
    errors: Tail
    place: Workspace
    since_s: float
    limit_s: float
    artifacts: list[str] = field(default_factory=list)
    progress: tuple[float | None, str] | None = None  # the newest share (0 to 1) and text, not reported yet
    question: str | None = None
    problem: str = ""
    dropped: bool = False
    asked_at_s: float | None = None  # when SIGTERM was sent
    push: BranchPush | None = None  # of its branches, before the outcome is data

    @property
    def is_well(self) -> bool:
        """Return whether the command has ended with success."""
        return self.command.code == 0 and not self.problem

    def check(self, now_s: float) -> None:
        """Read the command's notes, and end it if it prints too much or runs too long."""
        self._read_notes()
        if self.command.floods:
            self._must_end("it printed without end", now_s)
        elif now_s - self.since_s > self.limit_s:
            self._must_end(f"it did not end in {self.limit_s:g} s", now_s)
        if self.asked_at_s is not None and now_s - self.asked_at_s > TERM_S:
            self.command.end()

    def _must_end(self, problem: str, now_s: float) -> None:
        self.problem = self.problem or problem
        self.ask_to_end(now_s)

    def ask_to_end(self, now_s: float) -> None:
        """Send SIGTERM once, and note the time: the kill is due TERM_S later."""
        if self.asked_at_s is None:
            self.asked_at_s = now_s
            self.command.ask_to_end()

    def _read_notes(self) -> None:
        while not self.output.notes.empty():
            word, rest = self.output.notes.get_nowait()
            if word == "progress":
                share, _, text = rest.partition(" ")
                known = _share(share)
                self.progress = (known, as_text(text if known is not None else rest)[:WORDS_CHARS_MAX])
            elif word == "artifact" and rest:
                self.artifacts.append(as_name(rest, NAME_CHARS_MAX))
            elif word == "input":
                self.question = as_text(rest)[:REASON_CHARS_MAX]

    def outcome(self) -> tuple[str, Mapping[str, Any]]:
        """Return the type of the event that records the outcome, and its data. The command has ended."""
        self._read_notes()
        output, errors, code = self.output.finish(), self.errors.finish(), self.command.code
        self._read_notes()
        data: dict[str, Any] = {"attempt": self.attempt}
        if self.is_well:
            made = self.place.artifacts()
            data |= {"result": output, "artifacts": [*made, *self.artifacts][:ARTIFACTS_MAX]}
            if made:
                data["branch"] = made[0].removeprefix("refs/heads/")
            if self.push is not None and not self.push.is_done:
                self.push.reported = True
                why = f": {self.push.trouble}" if self.push.trouble else ""
                data["result"] = f"{output}\n({self.place.remote} does not have its branch yet{why})".strip()
            if unsaved := self.place.unsaved():
                data["result"] = f"{data['result']}\n(more is {unsaved})".strip()
            return "task_finished", data
        if not self.problem and code == HANDED_BACK:
            return "task_released", data | {"reason": _end_of(errors or output) or "its command handed it back"}
        how = self.problem or (
            f"its command ended with {code}"
            if code and code > 0
            else f"killed by signal {-code}"
            if code
            else "its command ended"
        )
        return "task_failed", data | {"reason": f"{how}\n{_end_of(errors or output)}".strip()}


def _share(text: str) -> float | None:
    """Return a share from 0 to 1, written as "0.4" or "40%"; None if the text is neither."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _end_of(text: str) -> str:
    """Return the last lines, which show what went wrong. They are short, because the fold keeps each attempt's."""
    end = text[-REASON_END_CHARS:]
    return end if len(text) <= REASON_END_CHARS else end.partition("\n")[2] or end


def start(
    command: str | Sequence[str],
    task: Mapping[str, Any],
    attempt: int,
    agent: str,
    place: Workspace,
    *,
    now_s: float,
    limit_s: float,
    pass_env: Sequence[str] = (),
) -> RunningAttempt:
    """Start an attempt and return it. Raise CannotStart if the command cannot be started.

    `task` is the row that the command reads as JSON; `attempt` is its number; `limit_s` is the longest it may run.
    """
    notes: queue.Queue[tuple[str, str]] = queue.Queue(NOTES_MAX)
    output, errors = Tail(notes), Tail(notes)
    environment = command_environment(
        os.environ,
        {
            "GITCOORD_AGENT": agent,
            "GITCOORD_TASK_ID": str(task["id"]),
            "GITCOORD_TASK_TITLE": no_option(fit(str(task["title"]), Place.LINE)),
            "GITCOORD_TASK_ATTEMPT": str(attempt),
            "GITCOORD_TASK_PRIORITY": str(task["priority"]),
            "GITCOORD_TASK_FOLDER": str(place.folder),
            "GITCOORD_TASK_BRANCH": place.branch,
        },
        pass_env=pass_env,
    )
    stdin = as_json({"schema": "gitcoord.task/1", **task}).encode() + b"\n"
    started = UserCommand(
        command, stdin=stdin, environment=environment, output=output, errors=errors, folder=place.folder
    )
    return RunningAttempt(str(task["id"]), attempt, agent, started, output, errors, place, now_s, limit_s)


def no_option(text: str) -> str:
    """Return others' text as an argument that no command takes for an option: a leading hyphen gets a space before
    it."""
    return f" {text}" if text.startswith("-") else text


def located(spec: str, folder: Path) -> str:
    """Return the handler `spec` with its file's path made absolute, relative to `folder`.

    Raise Refused if it names no function.
    """
    place, colon, function = spec.rpartition(":")
    if not (place and colon and function.isidentifier()):
        raise Refused(f"handler {spec!r} names no function: {handler.HOW}")
    is_file = place.endswith(".py") or "/" in place or os.sep in place
    return f"{(folder / place).absolute()}:{function}" if is_file else spec


def handler_argv(spec: str) -> list[str]:
    """Return the command that calls a Python function for a task; `spec` is a result of `located`."""
    place, _, function = spec.rpartition(":")
    return program.script_argv(Path(handler.__file__), place, function)


def check_handler(spec: str, *, pass_env: Sequence[str] = ()) -> None:
    """Raise Refused if the function does not exist, so that the user learns of it before the first task.

    The module is imported in a process of its own, as for a task: never in the process that holds the keys.
    """
    environment = command_environment(os.environ, {}, pass_env=pass_env)
    try:
        checked = subprocess.run(
            [*handler_argv(spec), "--check"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=CHECK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise Refused(f"--handler {spec}: {wrong}") from None
    if checked.returncode:
        reason = _end_of(checked.stderr.strip()) or f"its module ended with exit code {checked.returncode}"
        raise Refused(f"--handler {spec}: {reason}")
