"""Several servers of one agent: one heartbeat, one goodbye."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gitcoord.core.errors import Refused
from gitcoord.core.format.event import parse
from gitcoord.mcp import shared_run
from gitcoord.mcp.shared_run import SharedRun
from gitcoord.store.home.home import find_home
from tests.cli.clones import Clone, copied, process_environment
from tests.waiting import WAIT_S, wait_until


@pytest.fixture
def pair(tmp_path: Path) -> list[Clone]:
    return copied(tmp_path, "alice", "bob")


@pytest.fixture
def alice(pair: list[Clone]) -> Clone:
    return pair[0]


@pytest.fixture
def server(alice: Clone) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """A client's window: it serves until its input is closed."""
    with contextlib.ExitStack() as open_ones:

        def start() -> subprocess.Popen[str]:
            one = _start(alice)
            open_ones.callback(_end, one)
            return one

        yield start


def _start(clone: Clone) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gitcoord", "mcp", "--as", clone.agent],
        cwd=clone.path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=process_environment({}),
    )


def _end(one: subprocess.Popen[str]) -> None:
    if one.stdin is not None and not one.stdin.closed:
        one.stdin.close()
    one.wait(WAIT_S)


def heartbeat(clone: Clone) -> dict[str, Any]:
    try:
        return dict(parse((clone.home / "heartbeats" / "alice.line").read_bytes()).data)
    except FileNotFoundError:
        return {}


def beats_on(clone: Clone, session: str) -> bool:
    """Wait for two more heartbeats, and return whether they are of the same session and alive."""
    n = heartbeat(clone)["n"]
    wait_until(lambda: heartbeat(clone)["n"] > n + 1 or heartbeat(clone)["session"] != session, what="two heartbeats")
    now = heartbeat(clone)
    return bool(now["session"] == session and now["state"] == "alive")


def test_the_last_of_two_servers_says_goodbye(alice: Clone, server: Callable[[], subprocess.Popen[str]]) -> None:
    first = server()
    session = wait_until(lambda: heartbeat(alice).get("session"), what="the first heartbeat")
    second, servers = server(), alice.home / "heartbeats" / "alice.servers"
    wait_until(lambda: _holders(servers) >= {first.pid, second.pid}, what="the second server")
    _end(first)
    assert beats_on(alice, session)
    _end(second)
    assert heartbeat(alice)["state"] == "goodbye" and heartbeat(alice)["session"] == session


def _holders(path: Path) -> set[int]:
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if any(
                os.path.samefile(f"/proc/{process.pid}/fd/{fd}", path) for fd in os.listdir(f"/proc/{process.pid}/fd")
            ):
                found.add(process.pid)
    return found


def test_a_server_that_is_killed_does_not_take_the_heartbeat_of_another_along(
    alice: Clone, server: Callable[[], subprocess.Popen[str]]
) -> None:
    first = server()
    session = wait_until(lambda: heartbeat(alice).get("session"), what="the first heartbeat")
    second, servers = server(), alice.home / "heartbeats" / "alice.servers"
    wait_until(lambda: second.pid in _holders(servers), what="the second server")
    first.kill()
    first.wait(WAIT_S)
    assert beats_on(alice, session)
    second.kill()
    second.wait(WAIT_S)
    wait_until(lambda: heartbeat(alice)["state"] == "goodbye", what="the goodbye")


def test_an_agent_run_that_was_killed_is_started_again(
    alice: Clone, server: Callable[[], subprocess.Popen[str]]
) -> None:
    one = server()
    session = wait_until(lambda: heartbeat(alice).get("session"), what="the first heartbeat")
    [child] = [child for child in psutil.Process(one.pid).children() if "run" in child.cmdline()]
    child.send_signal(signal.SIGKILL)
    wait_until(lambda: heartbeat(alice)["session"] != session, what="another session's heartbeat")
    assert heartbeat(alice)["state"] == "alive"


def test_a_server_tells_that_its_run_has_ended_in_favour_of_another(
    pair: list[Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    for key in (alice.home / "keys").glob("alice*"):
        shutil.copy2(key, bob.home / "keys")
    monkeypatch.chdir(alice.path)
    with SharedRun(find_home(alice.path), "alice").held() as run:
        wait_until(lambda: heartbeat(alice).get("state") == "alive", what="the first heartbeat")
        assert run.warning == ""
        other = bob.start("agent", "run", "--id", "alice", "--takeover")
        try:
            words = wait_until(lambda: run.warning, what="the warning")
        finally:
            other.send_signal(signal.SIGTERM)
            other.communicate(timeout=WAIT_S)
        assert "ended in favour of another run" in words and "taken over" in words


def test_what_is_no_fifo_is_refused(alice: Clone) -> None:
    (alice.home / "heartbeats" / "alice.servers").write_text("")
    with pytest.raises(Refused, match="is not a FIFO"), SharedRun(find_home(alice.path), "alice").held():
        raise AssertionError("it began")


def test_starts_that_fail_come_ever_more_seldom(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(shared_run.time, "monotonic", lambda: now)
    run, starts = SharedRun(find_home(alice.path), "alice"), []
    monkeypatch.setattr(SharedRun, "_start", lambda one: starts.append(now))
    for _ in range(400):
        run.look()
        now += 0.5
    assert [round(b - a) for a, b in zip(starts[:8], starts[1:8], strict=False)] == [1, 2, 4, 8, 16, 32, 60]
