"""Leases with real processes: what a killed or closed agent had goes back, and who is still there keeps its task."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.system.fleet import Clone, surroundings
from tests.waiting import WAIT_S, wait_until


def created(clone: Clone, title: str) -> str:
    task: str = clone.json("task", "create", title)["task"]["id"]
    return task


def shown(clone: Clone, task: str) -> dict[str, Any]:
    value: dict[str, Any] = clone.json("task", "show", task)
    return value


def until_ready(clone: Clone, task: str) -> dict[str, Any]:
    wait_until(lambda: shown(clone, task)["status"] == "ready", what="the task to go back")
    return shown(clone, task)


@pytest.mark.timeout(180)
def test_the_task_of_a_killed_agent_run_goes_back_after_the_grace(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    alice.run("config", "set", "task_grace_s", "15")
    leader = alice.start()
    leader.wait_for("leader", "(here)")
    running = bob.start()
    task = created(alice, "Fix the parser")
    bob.run("task", "claim", task)
    running.kill()

    def held() -> dict[str, Any] | None:
        value = shown(alice, task)
        return value if value["blocked"] else None

    value = wait_until(held, what="the holder to be seen gone")
    assert value["status"] == "accepted" and value["blocked"].startswith("held, holder gone (bob is gone), goes back")
    value = until_ready(alice, task)
    assert [(one["agent"], one["outcome"], one["reason"]) for one in value["attempts"]] == [
        ("bob", "released", "bob is gone")
    ]
    late = bob.run("task", "finish", task, code=3)
    assert "attempt 1 is over (released)" in late.stderr
    alice.run("task", "claim", task)


@pytest.mark.timeout(180)
def test_the_task_of_an_agent_run_that_said_goodbye_goes_back_and_that_of_one_that_is_there_does_not(
    pair: tuple[Clone, Clone],
) -> None:
    alice, bob = pair
    alice.run("config", "set", "task_grace_s", "2")
    alice.start().wait_for("leader", "(here)")
    running = bob.start()
    mine, other = created(alice, "Fix the parser"), created(alice, "Write the page")
    bob.run("task", "claim", mine)
    alice.run("task", "claim", other)
    assert running.terminate() == 0
    assert until_ready(alice, mine)["attempts"][0]["reason"] == "bob's session ended"
    assert shown(alice, other)["status"] == "accepted"


class Client:
    """A client of `gitcoord mcp` that speaks JSON-RPC by hand."""

    def __init__(self, clone: Clone) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gitcoord", "mcp"],
            cwd=clone.path,
            env=surroundings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        about = {"name": "by hand", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about})
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._write({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        assert self.process.stdout is not None
        value: dict[str, Any] = json.loads(self.process.stdout.readline())
        return value

    def _write(self, value: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=WAIT_S)


@pytest.mark.timeout(180)
def test_the_task_of_an_mcp_client_that_was_closed_goes_back(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    alice.run("config", "set", "task_grace_s", "2")
    alice.run("config", "set", "task_lease_s", "4")
    alice.start().wait_for("leader", "(here)")
    task = created(alice, "Fix the parser")
    client = Client(bob)
    try:
        answer = client.ask("tools/call", {"name": "task_update", "arguments": {"action": "claim", "task": task}})
        assert "error" not in answer and not answer["result"].get("isError"), answer
    finally:
        client.close()
    value = until_ready(alice, task)
    assert value["attempts"][0]["agent"] == "bob" and value["failures"] == 0
