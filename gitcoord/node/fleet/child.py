"""A child process: one agent of a fleet file, its `agent run` as a process group, and its heartbeats as seen from
outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitcoord.node.fleet.fleet_file import AgentSpec
from gitcoord.store import program

HUNG_S = 10.0  # at least: on a busy machine, heartbeats are late
HUNG_PROMISES = 5.0  # times the interval that the heartbeat promised
FOLDER = "GITCOORD_FLEET_FOLDER"

WAITING, STARTED, UP, CRASHED, ENDED = "waiting", "started", "up", "crashed", "ended"


@dataclass(slots=True)
class AgentProcess:
    """An agent of the file, and its process. `session`, `heartbeat`, `heartbeat_s` and `promise_s` are those of its
    newest heartbeat on this disk."""

    id: str
    spec: AgentSpec
    state: str = WAITING
    process: subprocess.Popen[bytes] | None = None
    code: int | None = None  # of the last process that ended
    starts: int = 0
    changed_s: float = field(default_factory=time.monotonic)
    session: str = ""
    heartbeat: object = None
    heartbeat_s: float = 0.0
    promise_s: float = 0.0

    @property
    def hangs(self) -> bool:
        """Return whether its heartbeats have not moved for long."""
        return time.monotonic() - self.heartbeat_s > max(HUNG_S, HUNG_PROMISES * self.promise_s)

    def becomes(self, state: str) -> None:
        """Set the state, and note the time."""
        self.state, self.changed_s = state, time.monotonic()

    def start(self, folder: Path, fleet_file: Path) -> None:
        """Start the process in `folder`. Raise OSError if it cannot be started.

        When the supervisor ends, the standard input of `agent run --until-eof` ends, and so the agent ends too.
        """
        environment = {**os.environ, "GITCOORD_AGENT": self.id, FOLDER: str(fleet_file.resolve().parent)}
        self.process = subprocess.Popen(
            argv(self.id, self.spec), cwd=folder, env=environment, start_new_session=True, stdin=subprocess.PIPE
        )
        self.starts += 1
        self.heartbeat_s = time.monotonic()
        self.becomes(STARTED)

    def see(self, heartbeat: Mapping[str, Any] | None) -> bool:
        """Note the newest heartbeat. Return True if it is the first of a session: the agent is up."""
        if heartbeat is None or heartbeat == self.heartbeat:
            return False
        self.heartbeat, self.heartbeat_s, self.promise_s = (
            heartbeat,
            time.monotonic(),
            float(heartbeat.get("next_s", 0.0)),
        )
        session = str(heartbeat.get("session", ""))
        is_new = session != self.session
        self.session = session
        if is_new:
            self.becomes(UP)
        return is_new

    def end(self) -> None:
        """Kill the process group at once."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        self.code = process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def to_row(self) -> dict[str, Any]:
        """Return the agent as an object of `gitcoord fleet status --json`."""
        return {
            "agent": self.id,
            "state": self.state,
            "pid": self.process.pid if self.process else None,
            "starts": self.starts,
            "code": self.code,
        }


def argv(agent: str, spec: AgentSpec) -> Sequence[str]:
    """Return the command line that runs the agent."""
    line = program.gitcoord_argv("agent", "run", "--id", agent, "--quiet", "--until-eof", "--slots", str(spec.slots))
    line += [word for name in spec.pass_env for word in ("--pass-env", name)]
    for name, value in (
        ("--exec", spec.exec),
        ("--handler", spec.handler),
        ("--capabilities", ",".join(spec.capabilities)),
    ):
        line += [name, value] if value else []
    line += ["--worktree"] if spec.worktree else []
    return line if spec.lead else [*line, "--no-lead"]


def describe_exit(code: int) -> str:
    """Return an exit status in words."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
