"""The `agent run` that all servers of one agent on this node share: one heartbeat, and one goodbye at the end.

Each server has the writing end of one FIFO open. Its reading end is the standard input of `agent run --until-eof`, so
the kernel counts the servers: the input ends with the last of them, even if that one is killed. A server that finds no
`agent run` starts one. This run outlives the server as long as another server is open.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from gitcoord.core.errors import Lost, Refused
from gitcoord.core.names import agent_id
from gitcoord.core.text import cut
from gitcoord.store import program
from gitcoord.store.home import sharing
from gitcoord.store.home.home import Home

GOODBYE_S = 15.0  # for the agent's goodbye
POLL_S = 0.5  # between two checks whether an `agent run` of the agent is alive
AGAIN_S, AGAIN_S_MAX = 1.0, 60.0  # before another one is started; doubles while they end
SETTLED_S = 150.0  # an `agent run` that lives so long has no rival: it watches for one for two heartbeat periods
WORDS_READ = 2000  # bytes of the last words of an `agent run`
WORDS_CHARS = 300


@dataclass(slots=True)
class SharedRun:
    """A server's part in the `agent run` of its agent."""

    home: Home
    agent: str
    warning: str = ""  # why the `agent run` that this server started has ended; "" while one is alive
    _fifo: int = -1
    _child: subprocess.Popen[bytes] | None = None
    _words: IO[bytes] | None = None
    _started_s: float = float("-inf")
    _pause_s: float = 0.0
    _closing: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def held(self) -> Iterator[SharedRun]:
        """Keep an `agent run` alive within this context; then wait for its goodbye if no other server is left."""
        self._fifo = _open(self.home, self.agent)
        fcntl.flock(self._fifo, fcntl.LOCK_SH)
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            yield self
        finally:
            self._closing.set()
            watcher.join()
            self._close()

    def _watch(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a full disk, or too many processes: the next check tries again
                self.look()
            if self._closing.wait(POLL_S):
                return

    def look(self) -> None:
        """Start an `agent run` if none of this agent is alive, with growing pauses while they end again."""
        now_s = time.monotonic()
        ended = self._child is not None and self._child.poll() is not None
        if ended:
            self.warning = self._last_words()
            self._child = None
        if self._child is not None or self._runs():
            if now_s - self._started_s > SETTLED_S:
                self.warning, self._pause_s = "", 0.0
            return
        if now_s - self._started_s >= self._pause_s:
            self._start()
            self._started_s = now_s
            self._pause_s = min(max(AGAIN_S, 2 * self._pause_s), AGAIN_S_MAX)

    def _runs(self) -> bool:
        return self.agent.casefold() in self.home.running()

    def _start(self) -> None:
        self._words = self._words or tempfile.TemporaryFile()  # not closed here: the child writes on
        self._words.truncate(0)
        reading = os.open(_path(self.home, self.agent), os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.set_blocking(reading, True)
            self._child = subprocess.Popen(
                program.gitcoord_argv("agent", "run", "--id", self.agent, "--quiet", "--until-eof", "--shared"),
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                start_new_session=True,
            )
        finally:
            os.close(reading)

    def _last_words(self) -> str:
        """Return why the `agent run` has ended; "" if another server's was there first."""
        assert self._child is not None and self._words is not None
        if self._runs():
            return ""
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - WORDS_READ))
        lines = self._words.read().decode("utf-8", "replace").strip().splitlines()
        why = cut(lines[-1].removeprefix("gitcoord: "), WORDS_CHARS) if lines else f"exit code {self._child.returncode}"
        words = "in favour of another run" if self._child.returncode == Lost.exit_code else "by itself"
        return (
            f"{self.agent} sends no heartbeats from here: its `gitcoord agent run` has ended {words} ({why}). "
            "Other agents may consider you gone and get your tasks"
        )

    def _close(self) -> None:
        """Close the FIFO. The last server waits for the goodbye, so that it precedes the end of this process."""
        last = True
        try:
            fcntl.flock(self._fifo, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            last = False
        os.close(self._fifo)
        end_s = time.monotonic() + GOODBYE_S
        while last and self._lives() and time.monotonic() < end_s:
            time.sleep(0.05)
        if last and self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        elif self._child is not None and self._child.poll() is None:
            self._child.returncode = 0  # it goes on for the other servers: Popen must not warn of a running child
        if self._words is not None:
            self._words.close()

    def _lives(self) -> bool:
        return self._child.poll() is None if self._child is not None else self._runs()


def _path(home: Home, agent: str) -> str:
    return str(home.path / "heartbeats" / f"{agent_id(agent).casefold()}.servers")


def _open(home: Home, agent: str) -> int:
    """Open the FIFO for reading and writing, so that this never waits for the other end. Raise Refused."""
    path = _path(home, agent)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, sharing.mode_in(home.path / "heartbeats"))
    fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(fifo).st_mode):
        os.close(fifo)
        raise Refused(f"{path} is not a FIFO: remove it, then start `gitcoord mcp` again")
    return fifo
