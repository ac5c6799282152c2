"""Answers: short, with what they are as of, and never later than a client waits."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from gitcoord.core.errors import Lost, Refused
from gitcoord.core.names import UID
from gitcoord.core.text import for_model
from gitcoord.mcp import calls as calls_module
from gitcoord.mcp import server as server_module
from gitcoord.mcp.calls import Calls
from gitcoord.mcp.server import server
from gitcoord.node.node import open_node
from tests.cli.clones import Clone, copied
from tests.mcp.test_tools import BYTES_PER_TOKEN
from tests.waiting import WAIT_S

ANSWER_TOKENS_MAX = 300
BODY = "The parser drops the last line of a file without a newline. Keep it, and add a test. " * 10


@pytest.fixture
def alice(tmp_path: Path) -> Clone:
    return copied(tmp_path, "alice", "bob")[0]


@pytest.fixture
def bob(alice: Clone) -> Clone:
    return Clone(alice.path.parent / "bob", alice.remote, "bob")


@pytest.fixture
def opened() -> Iterator[Callable[[Clone], Calls]]:
    made: list[Calls] = []

    def make(clone: Clone) -> Calls:
        made.append(Calls(lambda: open_node(clone.path), clone.agent))
        return made[-1]

    yield make
    for one in made:
        one.close()


def tokens(answer: Any) -> float:
    return len(for_model(answer)) / BYTES_PER_TOKEN


def empties(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [
            one for key, inner in value.items() for one in ([key] if inner in (None, "", [], {}) else empties(inner))
        ]
    return [one for inner in value for one in empties(inner)] if isinstance(value, list) else []


def test_typical_answers_are_short_and_say_what_they_are_as_of(
    alice: Clone, bob: Clone, opened: Callable[[Clone], Calls]
) -> None:
    ours, theirs = opened(alice), opened(bob)
    made = ours.call("task_create", {"title": "Fix the parser", "body": BODY, "priority": "high"})
    task = made["data"]["id"]
    for number in range(4):
        ours.call("task_create", {"title": f"Write page {number} of the manual", "body": BODY})
        theirs.call("message_send", {"action": "send", "text": f"Page {number} waits for the parser", "to": "alice"})
    answers = [
        made,
        theirs.call("task_show", {"action": "ready"}),
        theirs.call("task_show", {"action": "list"}),
        theirs.call("task_update", {"action": "claim", "task": task}),
        theirs.call("task_update", {"action": "progress", "task": task, "share": 0.5, "text": "tests are written"}),
        theirs.call("path_reserve", {"action": "reserve", "paths": ["src/**"], "for": "2h", "why": "the parser"}),
        ours.call("fleet_show", {"action": "reservations"}),
        ours.call("message_show", {"action": "inbox"}),
        ours.call("fleet_show", {"action": "agent_list"}),
        theirs.call("task_update", {"action": "finish", "task": task, "result": "merged"}),
        theirs.call("path_reserve", {"action": "release"}),
        ours.call("fleet_show", {"action": "sent"}),
    ]
    for answer in answers:
        assert tokens(answer) < ANSWER_TOKENS_MAX, answer
        assert answer["as_of"]["position"] > 0 and answer["as_of"]["age_s"] >= 0 and answer["waited_s"] >= 0
        assert [one for one in empties(answer) if one != "items"] == [], answer
    assert answers[3]["data"]["done"] == "bob claims 'Fix the parser'" and answers[3]["data"]["id"] == task
    assert "task" not in answers[3]["data"] and BODY not in json.dumps(answers)
    assert BODY in json.dumps(theirs.call("task_show", {"action": "show", "task": task}))
    assert set(answers[1]["data"]["items"][0]) == {"id", "status", "priority", "title"}
    assert answers[-1]["data"]["items"] == []


def test_a_long_list_comes_in_pages(alice: Clone, opened: Callable[[Clone], Calls]) -> None:
    ours = opened(alice)
    with alice.node() as node:
        drafts = [
            node.draft("task_created", f"task {n}", actor="alice", data={"title": f"task {n}"}) for n in range(23)
        ]
        node.append(*drafts)
        node.sync()
    seen, after = [], 0
    for more in (13, 3, None):
        page = ours.call("task_show", {"action": "list", "after": after})["data"]
        assert page.get("more") == more
        seen += [one["title"] for one in page["items"]]
        after = page.get("next", 0)
    assert seen == [f"task {n}" for n in range(23)]
    assert len(ours.call("task_show", {"action": "list", "after": "20"})["data"]["items"]) == 3
    assert ours.call("task_show", {"action": "list", "after": 99})["data"] == {"items": []}
    for wrong in (-1, "x", 1.5, [3], True, "9" * 30):
        with pytest.raises(Refused, match="is not a number of rows"):
            ours.call("task_show", {"action": "list", "after": wrong})


def test_reads_that_bind_look_at_the_remote_although_an_agent_runs_here(
    alice: Clone, bob: Clone, opened: Callable[[Clone], Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's next look may be 15 s away: here it never comes."""
    monkeypatch.setattr(calls_module, "FRESH_S", 0.0)  # this test is faster than what counts as fresh
    theirs = opened(bob)
    theirs.call("task_show", {"action": "ready"})
    with theirs.node.home.run_lock("bob"):
        alice("task", "create", "news")
        before = theirs.call("message_show", {"action": "list"})
        after = theirs.call("task_show", {"action": "ready"})
    assert before["as_of"]["position"] < after["as_of"]["position"]
    assert [one["title"] for one in after["data"]["items"]] == ["news"]


def test_in_an_outage_a_write_is_queued_and_says_how_to_ask_for_it(
    alice: Clone, opened: Callable[[Clone], Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "OUTAGE_S", 0.5)
    monkeypatch.setattr(calls_module, "TRY_AGAIN_S", 0.0)
    ours = opened(alice)
    with alice.outage():
        said = ours.call("task_create", {"title": "fix the parser"})
        assert said["data"]["queued"] == ["fix the parser"] and said["data"]["position"] == "unknown"
        assert (
            f"action sent, id {said['data']['id']}" in said["data"]["do"] and "not send it again" in said["data"]["do"]
        )
        [shown] = ours.call("fleet_show", {"action": "sent", "id": said["data"]["id"]})["data"]["items"]
        assert (shown["level"], shown["text"]) == ("queued", "fix the parser")
        old = ours.call("task_show", {"action": "ready"})
        assert old["as_of"]["age_s"] > 0 and old["data"]["items"] == []
    ours.call("task_show", {"action": "ready"})
    [shown] = ours.call("fleet_show", {"action": "sent", "id": said["data"]["id"]})["data"]["items"]
    assert shown["level"] == "sequenced" and shown["position"] > 0 and "no effect" not in shown
    with pytest.raises(Refused, match="no event of this clone has an id that begins with 'zzzz'"):
        ours.call("fleet_show", {"action": "sent", "id": "zzzz"})


def test_what_had_no_effect_is_shown_with_the_reason_afterwards(
    alice: Clone, bob: Clone, opened: Callable[[Clone], Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Calls, "sync_if_stale", lambda calls, fresh_s: None)  # bob does not know yet that he is muted
    theirs = opened(bob)
    alice("agent", "mute", "bob", "--why", "it loops")
    with pytest.raises(Lost, match="mute"):
        theirs.call("task_create", {"title": "unheard"})
    uids = [one for one in theirs.node.home.progress().reasons if UID.match(one)]
    [shown] = theirs.call("fleet_show", {"action": "sent", "id": uids[-1]})["data"]["items"]
    assert shown["level"] == "sequenced" and "mute" in shown["no effect"]


class Stuck(Calls):
    """Calls whose remote does not answer, until it is let go."""

    go: threading.Event

    def call(self, name: str, raw_args: Any) -> dict[str, Any]:
        self.node.append(self.node.draft("message", "hello", actor=self.actor))
        self.go.wait(WAIT_S)
        return {"data": "too late"}


def test_no_call_takes_longer_than_a_client_waits(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "ANSWER_S", 1.0)
    Stuck.go = threading.Event()
    stuck = Stuck(lambda: open_node(alice.path), "alice")

    async def talk(worker: ThreadPoolExecutor) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S), Client(server(stuck, worker)) as client:
            result = await client.call_tool("message_send", {"action": "send", "text": "hello", "to": "bob"})
            assert not result.is_error and result.structured_content is None
            text: str = result.content[0].text  # type: ignore[union-attr]
            Stuck.go.set()
            return dict(json.loads(text))

    with ThreadPoolExecutor(1) as worker:
        try:
            said = asyncio.run(talk(worker))
        finally:
            Stuck.go.set()
            worker.submit(stuck.close).result()
    assert said["data"]["queued"] == ["hello"] and said["as_of"]["position"] == "unknown"
    assert "has not answered" in said["data"]["why"]


def in_memory(clone: Clone, talk: Callable[[Client], Any]) -> Any:
    """Run what an agent's program does, with a server in this process."""
    ours = Calls(lambda: open_node(clone.path), clone.agent)

    async def run(worker: ThreadPoolExecutor) -> Any:
        async with asyncio.timeout(WAIT_S), Client(server(ours, worker)) as client:
            return await talk(client)

    with ThreadPoolExecutor(1) as worker:
        try:
            return asyncio.run(run(worker))
        finally:
            worker.submit(ours.close).result()


async def data(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    text: str = result.content[0].text  # type: ignore[union-attr]
    assert not result.is_error, text
    return json.loads(text)["data"]


def test_news_is_told_once_and_at_once(alice: Clone, bob: Clone) -> None:
    bob("message", "send", "the parser is yours", "--to", "alice")
    bob("task", "create", "Fix the parser")

    async def talk(client: Client) -> None:
        first = (await data(client, "wait_for_news"))["items"]
        assert [(one["what"], one.get("text") or one.get("title")) for one in first] == [
            ("message", "the parser is yours"),
            ("task ready", "Fix the parser"),
        ]
        waiting = asyncio.create_task(data(client, "wait_for_news"))
        assert (await data(client, "task_show", action="ready"))["items"]  # another call is not held up
        assert not waiting.done()
        await asyncio.to_thread(bob, "message", "send", "and the lexer", "--to", "alice")
        assert [one["text"] for one in (await waiting)["items"]] == ["and the lexer"]

    in_memory(alice, talk)


def test_without_news_the_wait_ends(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "NEWS_S", 0.5)

    async def talk(client: Client) -> None:
        result = await client.call_tool("wait_for_news", {})
        answer = json.loads(result.content[0].text)  # type: ignore[union-attr]
        assert answer["data"] == {"items": []} and answer["waited_s"] >= 0.5

    in_memory(alice, talk)


def test_conflicts_are_told_before_anybody_merges(
    alice: Clone, opened: Callable[[Clone], Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = alice.path / "parser.py"

    def commit(branch: str, text: str, base: str) -> None:
        git(alice.path, "checkout", "-q", "-B", branch, *([base] if base else []))
        file.write_text(text)
        git(alice.path, "add", "parser.py")
        git(alice.path, "commit", "-q", "-m", branch)

    commit("main", "def parse():\n    return 0\n", "")
    commit("bob/parser", "def parse():\n    return 1\n", "main")
    commit("bob/other", "def parse():\n    return 3\n", "main")
    commit("alice/parser", "def parse():\n    return 2\n", "main")
    monkeypatch.chdir(alice.path)
    ours = opened(alice)
    found = ours.call("conflicts", {})["data"]
    assert sorted(one["between"] for one in found["items"]) == [
        "alice/parser and bob/other",
        "alice/parser and bob/parser",
    ]
    assert found["items"][0]["paths"] == ["parser.py (def parse():)"] and found["items"][0]["agents"] == [
        "alice",
        "bob",
    ]
    assert "alice/parser with main" in found["checked"]
    everything = ours.call("conflicts", {"all": "true"})["data"]
    assert len(everything["items"]) == 3 and "alice/parser" in everything["merge_in_this_order"]
    assert len(ours.call("conflicts", {"branch": "bob/other"})["data"]["items"]) == 2
    with pytest.raises(Refused):
        ours.call("conflicts", {"branch": "no-such-branch"})
    git(alice.path, "checkout", "-q", "main")
    assert ours.call("conflicts", {})["data"]["items"] == []


def git(path: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", "-C", str(path), *who, *words], check=True, capture_output=True)
