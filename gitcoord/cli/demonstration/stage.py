"""The demo's stage: a temporary folder, real processes in it, waits with limits, and promises that are checked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gitcoord.core.errors import GitcoordError
from gitcoord.store import program

if TYPE_CHECKING:
    from rich.console import Console

POLL_S = 0.01  # between two checks of a condition
COMMAND_S_MAX = 60.0  # no command of the demo takes so long
RUN_S_MAX = 180  # agents end by themselves if the demo is killed and cannot end them
GOODBYE_S_MAX = 12.0

T = TypeVar("T")
A = TypeVar("A")


class Broken(GitcoordError):
    """An expected result of the demo did not come in time, or a command failed."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of the summary: a promise, the observed result, and whether it keeps the promise."""

    what: str
    seen: str
    kept: bool


class Child:
    """A running `gitcoord` that prints JSON lines; `lines` has each with the monotonic time of its arrival."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.lines: list[tuple[float, dict[str, Any]]] = []
        self._errors = open(log, "wb")
        self.log = log
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.lines.append((time.monotonic(), json.loads(line)))

    def logged(self, kind: str, *, ending: str = "", since: int = 0) -> tuple[float, str] | None:
        """Return when the process first logged `kind`, after `since` lines, with a text that ends so; and the text."""
        for moment, line in self.lines[since:]:
            if line.get("kind") == kind and str(line.get("text", "")).endswith(ending):
                return moment, str(line["text"])
        return None

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill the process with SIGKILL: it says no goodbye."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End all that is left of the process and of its children."""
        if self.alive:
            self.process.kill()
        with contextlib.suppress(OSError, AttributeError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(timeout=2)
        if self.process.stdout is not None and not self._reader.is_alive():
            self.process.stdout.close()
        self._errors.close()


@dataclass(slots=True)
class Stage:
    """The demo's folder and processes. A context manager: it ends all children, and removes the folder or keeps it."""

    console: Console
    keep: bool = False
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="gitcoord-demo-")).resolve())
    agents: dict[str, Child] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)  # event id → the agent that got the acknowledgement

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for child in self.children:
            child.end()
        failed = kind is not None and issubclass(kind, Exception)  # unlike Ctrl-C and SIGTERM
        if self.keep or failed or self.broken:
            self.console.print(f"Everything is kept in {self.folder}", markup=False, soft_wrap=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def remote(self) -> Path:
        return self.folder / "shared.git"

    @property
    def broken(self) -> list[Promise]:
        return [promise for promise in self.promises if not promise.kept]

    # Output

    def title(self, number: int, words: str, why: str) -> None:
        self.console.print()
        self.console.print(f"[bold cyan]{number}. {words}[/]")
        self.console.print(why, style="dim", markup=False)

    def say(self, words: str, *, style: str = "") -> None:
        self.console.print(words, style=style or None, markup=False, soft_wrap=True)

    def shell(self, words: str) -> None:
        """Show the command that a user would type."""
        self.say(f"$ {words}", style="green")

    def promise(self, what: str, seen: str, kept: bool) -> None:
        """Record a promise with the observed result; the demo fails in the end if one was broken."""
        self.promises.append(Promise(what, seen, kept))
        if kept:
            self.say(f"  ok: {what}: {seen}")
        else:
            self.say(f"  BROKEN: {what}: {seen}", style="bold red")

    # Processes

    def environment(self) -> dict[str, str]:
        """Return the environment with the demo's own fleet, remote and git settings only."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITCOORD_", "GIT_"))}
        return kept | {"PYTHONUTF8": "1", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def command(self, clone: str, *arguments: str) -> list[str]:
        return program.gitcoord_argv("-C", str(self.folder / clone), *arguments)

    def run(self, clone: str, *arguments: str) -> str:
        """Run a `gitcoord` command in a clone and return its output. Raise Broken when it fails."""
        return self._run(self.command(clone, *arguments), f"gitcoord {' '.join(arguments)} (in {clone})")

    def json(self, clone: str, *arguments: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.run(clone, *arguments, "--json"))
        return value

    def git(self, *arguments: str) -> str:
        """Run git on the shared remote and return its output."""
        return self._run([program.git(), f"--git-dir={self.remote}", *arguments], f"git {' '.join(arguments)}")

    def clone(self, agent: str) -> None:
        """Clone the shared remote for one agent."""
        self._run([program.git(), "clone", "--quiet", str(self.remote), str(self.folder / agent)], "git clone")

    def _run(self, command: Sequence[str], shown: str) -> str:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=self.environment(),
                cwd=self.folder,
                timeout=COMMAND_S_MAX,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise Broken(f"{shown} did not end within {COMMAND_S_MAX:g} s") from None
        if done.returncode != 0:
            told = done.stderr.decode("utf-8", "replace").strip() or done.stdout.decode("utf-8", "replace").strip()
            raise Broken(f"{shown} ended with {done.returncode}: {told[-2000:]}")
        return done.stdout.decode("utf-8")

    def start(self, agent: str, *arguments: str) -> Child:
        """Start `gitcoord agent run` in the agent's own clone."""
        child = Child(
            agent,
            self.command(agent, "agent", "run", "--json-logs", "--for", str(RUN_S_MAX), *arguments),
            log=self.folder / f"{agent}-{len(self.children)}.log",
            environment=self.environment(),
        )
        self.children.append(child)
        self.agents[agent] = child
        return child

    def together(self, work: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """Run `work` on all items at the same time."""
        todo = list(items)
        with ThreadPoolExecutor(max_workers=max(1, len(todo))) as pool:
            return list(pool.map(work, todo))

    def append(self, agent: str, type_: str, content: str, *options: str) -> dict[str, Any]:
        """Append an event as `agent`, and return what the command acknowledged, with the seconds that it took."""
        began = time.monotonic()
        answer = self.json(agent, "append", type_, content, *options)
        self.acknowledged[answer["id"]] = agent
        return answer | {"seconds": time.monotonic() - began}

    # Waiting

    def until(self, what: str, check: Callable[[], T | None], *, limit_s: float) -> T:
        """Wait until `check` returns a value other than None and False, and return it.

        Raise Broken after `limit_s` seconds, or if an agent's process has ended.
        """
        deadline = time.monotonic() + limit_s
        while True:
            found = check()
            if found is not None and found is not False:
                return found
            for child in self.agents.values():
                if not child.alive:
                    words = child.log.read_text("utf-8", "replace").strip()[-500:]
                    raise Broken(f"agent run of {child.name} ended with {child.process.returncode}: {words}")
            if time.monotonic() >= deadline:
                raise Broken(f"{what}: not within {limit_s:g} s")
            time.sleep(POLL_S)

    def goodbye(self) -> float:
        """Send SIGTERM to all agents, and return the seconds until the last goodbye. Raise Broken if one is missing."""
        began = time.monotonic()
        leaving, self.agents = list(self.agents.values()), {}
        for child in leaving:
            child.process.terminate()
        for child in leaving:
            try:
                code = child.process.wait(timeout=GOODBYE_S_MAX)
            except subprocess.TimeoutExpired:
                raise Broken(f"{child.name} did not say goodbye within {GOODBYE_S_MAX:g} s") from None
            if code != 0:
                raise Broken(f"agent run of {child.name} ended with {code} at SIGTERM")
        return time.monotonic() - began

    # Observations

    def queued(self, agent: str) -> int:
        """Return the number of events in the queue of an agent's clone."""
        return (self.folder / agent / ".git" / "gitcoord" / "events.offline.log").read_bytes().count(b"\n")

    def tip(self) -> str:
        """Return the newest commit of the ledger on the shared remote."""
        return self.git("rev-parse", "refs/heads/gitcoord/ledger").strip()

    def seen_tip(self, agent: str) -> str:
        """Return the newest commit of the ledger that an agent's clone knows."""
        return (self.folder / agent / ".git" / "gitcoord" / "tip").read_text(encoding="ascii").split()[0]

    def published(self, name: str) -> str:
        """Return a file of the ledger branch, as the leader published it."""
        return self.git("show", f"refs/heads/gitcoord/ledger:{name}")
