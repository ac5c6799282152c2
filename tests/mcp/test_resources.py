"""Pages, and how a client hears that they have changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated

from gitcoord.mcp.resources import BOARD, INBOX, STATUS, Bus
from tests.cli.clones import Clone, copied
from tests.mcp.test_calls import in_memory
from tests.mcp.test_server import connected


@pytest.fixture
def pair(tmp_path: Path) -> list[Clone]:
    return copied(tmp_path, "alice", "bob")


async def page(client: Client, uri: str) -> Any:
    text: str = (await client.read_resource(uri)).contents[0].text  # type: ignore[union-attr]
    return json.loads(text)["data"]


async def told(events: AsyncIterator[Any], wanted: str) -> None:
    """Wait until this page is told to have changed; other pages may change as well."""
    async for event in events:
        if event == ResourceUpdated(uri=wanted):
            return
    raise AssertionError("the stream ended")


def test_inbox_board_and_status_are_told_when_they_change(pair: list[Clone]) -> None:
    alice, bob = pair

    async def talk() -> None:
        async with connected(alice, "--no-run") as client:
            assert client.protocol_version == "2026-07-28"
            assert {INBOX, BOARD, STATUS} <= {str(one.uri) for one in (await client.list_resources()).resources}
            async with client.listen(resource_subscriptions=[INBOX, BOARD]) as changes:
                await asyncio.to_thread(bob, "message", "send", "the parser is yours", "--to", "alice")
                await told(aiter(changes), INBOX)
                assert [one["text"] for one in await page(client, INBOX)] == ["the parser is yours"]
                await asyncio.to_thread(bob, "task", "create", "Fix the parser")
                while not (ready := (await page(client, BOARD)).get("ready")):  # the message is on the board, too
                    await told(aiter(changes), BOARD)
                assert [one["title"] for one in ready] == ["Fix the parser"]
            async with client.listen(resource_subscriptions=[STATUS]) as changes:  # a second stream after the first
                await asyncio.to_thread(bob, "reserve", "src/**")
                while not (reserved := (await page(client, BOARD)).get("reservations")):  # earlier changes are told too
                    await told(aiter(changes), STATUS)
            assert reserved[0]["agent"] == "bob"

    asyncio.run(talk())


def test_only_what_was_asked_for_is_told(pair: list[Clone]) -> None:
    alice, bob = pair

    async def talk(client: Client) -> None:
        async with client.listen(resource_subscriptions=[INBOX]) as changes:
            await asyncio.to_thread(bob, "task", "create", "Fix the parser")  # on the board only
            await asyncio.to_thread(bob, "message", "send", "hello", "--to", "alice")
            assert await anext(aiter(changes)) == ResourceUpdated(uri=INBOX)

    in_memory(alice, talk)


def test_a_bus_counts_each_listener_once() -> None:
    bus = Bus()
    leave, other = bus.subscribe(lambda event: None), bus.subscribe(lambda event: None)
    leave()
    leave()
    assert bus.listeners == 1
    other()
    assert bus.listeners == 0
