"""The two faces of gitcoord that agents of the day use: the command line, and MCP. Both count what is said and read."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import fleets
from day_world import World
from running import Agent

WAIT_S = 10.0  # for the ledger's answer to a command; an outage may be longer


class Unanswered(Exception):
    """The remote is away, or the event is queued: ask again."""


class Beaten(Exception):
    """Another agent was first, or has the task now: asking again does not help."""


class Face(Protocol):
    """What an agent asks of gitcoord. Each method may raise Unanswered or Beaten."""

    def next(self) -> dict[str, Any]: ...

    def names_branch(self, task: str, branch: str) -> None: ...

    def conflicts(self, branch: str) -> list[str]:
        """Return the branches that conflict with this one."""

    def tells(self, agent: str, text: str) -> None: ...

    def finish(self, task: str, branch: str) -> None: ...

    def start(self) -> None:
        """Start the process whose heartbeats say that the agent is there."""

    def kill(self) -> None: ...

    def end(self) -> None: ...


class Shell:
    """The command line, beside `gitcoord agent run`."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self._session: Agent | None = None

    def next(self) -> dict[str, Any]:
        return self._asked("next", "--claim")

    def names_branch(self, task: str, branch: str) -> None:
        self._asked("task", "progress", task, "0.5", "pushed", "--branch", branch)

    def conflicts(self, branch: str) -> list[str]:
        found = self._asked("conflict", "check")["conflicts"]
        pairs = [(one["a"]["name"], one["b"]["name"]) for one in found]
        return _others(branch, pairs)

    def tells(self, agent: str, text: str) -> None:
        self._asked("message", "send", text, "--to", agent)

    def finish(self, task: str, branch: str) -> None:
        self._asked("task", "finish", task, "merged", "--branch", branch)

    def start(self) -> None:
        self._session = Agent(self.folder)

    def kill(self) -> None:
        assert self._session is not None
        self._session.kill()

    def end(self) -> None:
        if self._session is not None:
            self._session.end()

    def _asked(self, *words: str) -> dict[str, Any]:
        timeout = ("--timeout", str(WAIT_S)) if words[0] != "conflict" else ()
        command = fleets.command(self.folder, *words, *timeout, "--json")
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.world.count(bytes_read=sum(map(len, words)) + len(done.stdout) + len(done.stderr))
        if done.returncode == 3:
            raise Beaten(done.stderr)
        if done.returncode == 4:
            raise Unanswered(done.stderr)
        if done.returncode:
            raise RuntimeError(f"{words} ended with {done.returncode}: {done.stderr}")
        value: dict[str, Any] = json.loads(done.stdout)
        return value


class Mcp:
    """A client of a few lines that speaks JSON-RPC with `gitcoord mcp`."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self._process: subprocess.Popen[str] | None = None
        self._ids = itertools.count(1)

    def next(self) -> dict[str, Any]:
        return self._asked("next", claim=True)

    def names_branch(self, task: str, branch: str) -> None:
        self._asked("task_update", action="progress", task=task, share=0.5, text="pushed", branch=branch)

    def conflicts(self, branch: str) -> list[str]:
        pairs = [tuple(one["between"].split(" and ")) for one in self._asked("conflicts").get("items", [])]
        return _others(branch, pairs)

    def tells(self, agent: str, text: str) -> None:
        self._asked("message_send", action="send", text=text, to=[agent])

    def finish(self, task: str, branch: str) -> None:
        self._asked("task_update", action="finish", task=task, result="merged", branch=branch)

    def start(self) -> None:
        self._process = subprocess.Popen(
            fleets.command(self.folder, "mcp"),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        client = {"name": "day", "version": "1"}
        self._request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self._say({"method": "notifications/initialized"})

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self.end()

    def end(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _asked(self, tool: str, **given: Any) -> dict[str, Any]:
        result = self._request("tools/call", {"name": tool, "arguments": given})
        text = result["content"][0]["text"]
        self.world.count(bytes_read=len(json.dumps(given)) + len(tool) + len(text))
        if result["isError"]:
            if text.startswith("refused"):
                raise RuntimeError(f"{tool} {given}: {text}")
            if text.startswith("lost"):
                raise Beaten(text)
            raise Unanswered(text)
        value: dict[str, Any] = json.loads(text).get("data", {})
        return value

    def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        self._say({"id": number, "method": method, "params": params})
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == number:
                value: dict[str, Any] = answer["result"]
                return value
        raise RuntimeError("gitcoord mcp ended")

    def _say(self, message: Mapping[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()


def _others(branch: str, pairs: Any) -> list[str]:
    """Return what conflicts with a branch; a fetched branch and a local one of the same name are one."""
    plain = [[name.removeprefix("origin/") for name in pair] for pair in pairs]
    return sorted({b if a == branch else a for a, b in plain if branch in (a, b)} - {branch})
