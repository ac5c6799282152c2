"""A client that knows nothing but descriptions and errors gets from nothing to a finished task.

It plays the part of a model: it finds a tool by words in its description, calls it with too little, and adds what the
refusal or the schema names.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.clones import Clone, copied, process_environment
from tests.mcp.test_server import connected
from tests.waiting import WAIT_S

Ask = Callable[[str, Mapping[str, Any]], Awaitable[tuple[bool, str]]]
TRIES = 4  # of one step: each refusal may name one more argument

KNOWN = {  # what the person said, by words of descriptions
    "in one line": "Fix the parser",
    "capabilities": "python",
    "relative to this folder": "src/**",
    "current work": "tests are written",
    "is done, from 0 to 1": "0.5",
    "[finish]": "merged",
    "best task": "true",
}


class Newcomer:
    """Reads the list of tools, and then only what comes back."""

    def __init__(self, tools: list[dict[str, Any]], ask: Ask) -> None:
        self.tools, self.ask = tools, ask
        self.ids: dict[str, str] = {}  # by the noun of the tool that gave it
        self.calls = 0

    def find(self, words: str) -> tuple[str, dict[str, Any]]:
        """The tool, and the action, whose description has these words."""
        for tool in self.tools:
            for part in tool["description"].split("; "):
                if words in part:
                    several = "action" in tool["inputSchema"]["properties"]
                    return tool["name"], {"action": part.partition(":")[0]} if several else {}
        raise AssertionError(f"no description says {words!r}")

    def value(self, tool: str, name: str) -> Any:
        """A value for an argument, by its description; an id is one that an answer gave."""
        schema = next(one for one in self.tools if one["name"] == tool)["inputSchema"]["properties"][name]
        noun = re.search(r"(\w+) id\b", schema["description"])
        if noun is not None:
            return self.ids[noun[1].lower()]
        return next(value for words, value in KNOWN.items() if words in schema["description"])

    async def do(self, words: str, *wanted: str) -> Any:
        """Do what a description says; `wanted`: arguments that the person asked for, by words of their descriptions."""
        tool, given = self.find(words)
        properties = next(one for one in self.tools if one["name"] == tool)["inputSchema"]["properties"]
        for told in wanted:
            name = next(name for name, one in properties.items() if told in one["description"])
            given[name] = self.value(tool, name)
        for _ in range(TRIES):
            self.calls += 1
            well, text = await self.ask(tool, given)
            if well:
                answer = json.loads(text)["data"]
                self.ids |= {tool.partition("_")[0]: answer["id"]} if "id" in answer else {}
                return answer
            named = re.match(r"refused: (\w+): ", text)
            assert named, f"{tool} {given} is refused, and the words name no argument: {text}"
            given[named[1]] = self.value(tool, named[1])
        raise AssertionError(f"{words!r} did not work out: {text}")


async def from_nothing_to_a_finished_task(tools: list[dict[str, Any]], ask: Ask) -> None:
    one = Newcomer(tools, ask)
    await one.do("Register an agent for work", "capabilities")
    assert (await one.do("Create a task"))["done"] == "Fix the parser"
    begun = await one.do("what to do now", "best task")
    assert "Fix the parser" in json.dumps(begun)
    await one.do("Reserve paths")
    await one.do("Mark a task as in progress")
    await one.do("Report progress", "current work", "is done, from 0 to 1")
    assert (await one.do("Find what your branch"))["checked"]
    assert "has done 'Fix the parser'" in (await one.do("as done, with its result", "[finish]"))["done"]
    await one.do("Give reserved paths back")
    shown = await one.do("Show a task and its attempts")
    assert (shown["status"], shown["result"]) == ("done", "merged")
    assert (await one.do("Wait for news")).keys() == {"items"}
    assert one.calls <= 20


@pytest.fixture
def alice(tmp_path: Path) -> Clone:
    clone, bob = copied(tmp_path, "alice", "bob")
    bob("message", "send", "welcome", "--to", "alice")  # the news that is waited for
    who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", "-C", clone.path, *who, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    return clone


def test_with_the_client_of_the_sdk(alice: Clone) -> None:
    async def talk() -> None:
        async with connected(alice) as client:

            async def ask(tool: str, given: Mapping[str, Any]) -> tuple[bool, str]:
                result = await client.call_tool(tool, dict(given))
                return not result.is_error, result.content[0].text  # type: ignore[union-attr]

            tools = [one.model_dump(by_alias=True, exclude_none=True) for one in (await client.list_tools()).tools]
            await from_nothing_to_a_finished_task(tools, ask)

    asyncio.run(talk())


@contextlib.contextmanager
def raw(clone: Clone) -> Iterator[Callable[[str, Mapping[str, Any]], dict[str, Any]]]:
    """A client of few lines, which speaks JSON-RPC of 2025-06-18 and knows no SDK."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gitcoord", "mcp"],
        cwd=clone.path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=process_environment({}),
    )
    assert process.stdin is not None and process.stdout is not None
    reading, writing, count = process.stdout, process.stdin, iter(range(1, 1000))

    def say(message: Mapping[str, Any]) -> None:
        writing.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        writing.flush()

    def request(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        number = next(count)
        say({"id": number, "method": method, "params": params})
        answer: dict[str, Any] = next(one for one in map(json.loads, reading) if one.get("id") == number)
        assert "error" not in answer, answer
        return dict(answer["result"])

    with process:
        try:
            begun = request(
                "initialize",
                {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {},
                    "clientInfo": {"name": "few lines", "version": "1"},
                },
            )
            assert begun["protocolVersion"] == "2025-06-18" and "You are the agent" in begun["instructions"]
            say({"method": "notifications/initialized"})
            yield request
        finally:
            writing.close()
            process.wait(WAIT_S)


def test_with_a_client_that_speaks_plain_json(alice: Clone) -> None:
    with raw(alice) as request:

        async def ask(tool: str, given: Mapping[str, Any]) -> tuple[bool, str]:
            result = request("tools/call", {"name": tool, "arguments": given})
            assert "structuredContent" not in result  # each answer is sent once
            return not result.get("isError"), result["content"][0]["text"]

        asyncio.run(from_nothing_to_a_finished_task(request("tools/list", {})["tools"], ask))
