"""A fleet of real processes: clones of one remote, `gitcoord` commands in them, agents that are started and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitcoord.node.node import Node, open_node
from gitcoord.store.git.local_repo import make_bare_remote
from tests.cli.clones import gitcoord
from tests.waiting import WAIT_S, wait_until

TOP = Path(__file__).resolve().parents[2]


class Agent:
    """A process in a clone; its standard output and errors go to files."""

    def __init__(self, words: Sequence[str], folder: Path, log: Path, **environment: str) -> None:
        self.log = log
        self.errors = log.with_suffix(".err")
        with log.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                cwd=folder,
                env=surroundings(**environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self, kind: str = "") -> list[str]:
        """The texts of its log lines of one kind, in order."""
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
        records = [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]
        return [record["text"] for record in records if kind in ("", record["kind"])]

    def wait_for(self, kind: str, text: str = "", *, times: int = 1) -> str:
        """The newest log line of a kind that holds `text`, once there are so many of them."""

        def found() -> list[str]:
            lines = [line for line in self.said(kind) if text in line]
            if len(lines) < times and self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.said()}\n{self.complaint()}")
            return lines if len(lines) >= times else []

        return wait_until(found, what=f"{kind} {text!r} in {self.log.name}: {self.said()}")[-1]

    def complaint(self) -> str:
        return self.errors.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """As a power cut would: nothing is said."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def wait(self) -> int:
        return self.process.wait(WAIT_S)


@dataclass
class Clone:
    """One clone, and the commands that are run in it."""

    path: Path
    agent: str
    fleet: Fleet

    @property
    def home(self) -> Path:
        return self.path / ".git" / "gitcoord"

    def run(
        self, *words: str, code: int | None = 0, given: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A `gitcoord` command; fails unless it ends with `code` (None: whatever)."""
        done = subprocess.run(
            [sys.executable, "-m", "gitcoord", *words],
            cwd=self.path,
            env=surroundings(**(environment or {})),
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=WAIT_S,
        )
        assert code is None or done.returncode == code, f"{words} ended with {done.returncode}: {done.stderr}"
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def append(self, type_: str, content: str, *more: str) -> dict[str, Any]:
        value: dict[str, Any] = self.json("append", type_, content, *more)
        return value

    def start(self, *options: str, ids: Sequence[str] = (), **environment: str) -> Agent:
        """`agent run`; returns once it has its seat (or has ended)."""
        names = [word for name in ids or [self.agent] for word in ("--id", name)]
        agent = self.launch("-m", "gitcoord", "agent", "run", "--json-logs", *names, *options, **environment)
        wait_until(lambda: agent.said("start") or agent.process.poll() is not None, what="an agent to start")
        return agent

    def launch(self, *words: str, **environment: str) -> Agent:
        """Python with `words`, in this clone, as a process of its own."""
        agent = Agent(words, self.path, self.fleet.next_log(), **environment)
        self.fleet.agents.append(agent)
        return agent

    @contextmanager
    def node(self) -> Iterator[Node]:
        with open_node(self.path) as node:
            yield node

    def lines(self) -> list[bytes]:
        """The ledger as this clone has it after one round."""
        with self.node() as node:
            node.sync()
            read = node.replica.branch.line_at()
            return [read(position) for position in range(1, node.fleet.position + 1)]

    def leader(self) -> str | None:
        """Who leads, by this clone's last fetch."""
        with self.node() as node:
            return node.fleet.terms.leader


@dataclass
class Fleet:
    """Clones of one remote, in one folder. Ends every process that it started."""

    folder: Path
    url: str = ""
    agents: list[Agent] = field(default_factory=list)
    logs: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.url:
            make_bare_remote(self.folder / "remote.git")
            self.url = str(self.folder / "remote.git")

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for agent in self.agents:
            if agent.process.poll() is None:
                agent.process.kill()
        for agent in self.agents:
            agent.process.wait()

    def clone(self, name: str, *options: str, agent: str = "", code: int = 0, **environment: str) -> Clone:
        """A new folder that has joined the fleet (or founded it), in this process: it is not yet what is tested."""
        clone = Clone(self.folder / name, agent or name, self)
        clone.path.mkdir()
        words = ("init", "--remote", self.url, "--agent", clone.agent, *options)
        done = gitcoord(clone.path, *words, environment=environment)
        assert done.code == code, done
        return clone

    def next_log(self) -> Path:
        self.logs += 1
        return self.folder / f"{self.logs:02d}.log"


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a child: the tests' own, and this project's code."""
    return os.environ | {"PYTHONPATH": str(TOP), "PYTHONUNBUFFERED": "1"} | more


def children_of(pid: int) -> set[int]:
    """The processes that `pid` started, and theirs."""
    import psutil

    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def is_alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
