"""Resources: pages that a client can read, and subscribe to (`subscriptions/listen` of MCP 2026-07-28)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated

from gitcoord.core.errors import GitcoordError
from gitcoord.core.text import Place, fit
from gitcoord.mcp.calls import Calls

InWorker = Callable[..., Awaitable[Any]]

STATUS, INBOX, BOARD = "gitcoord://status", "gitcoord://inbox", "gitcoord://board"
COMMUNICATION = "gitcoord://communication.md"
WATCH_S = 0.5  # between two checks for changes, while a client listens


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    kind: str
    about: str
    read: Callable[[Calls], str]


PAGES: Mapping[str, Page] = {
    STATUS: Page("status", "application/json", "Queue, leader, agents, and what needs attention", Calls.status),
    INBOX: Page("inbox", "application/json", "Your unread messages", Calls.inbox),
    BOARD: Page("board", "application/json", "Who does what: tasks by state, reservations, conflicts", Calls.board),
    COMMUNICATION: Page(
        "communication.md", "text/markdown", "The latest conversations of the fleet", Calls.communication
    ),
}


def listed() -> types.ListResourcesResult:
    return types.ListResourcesResult(
        resources=[
            types.Resource(name=one.name, uri=uri, mime_type=one.kind, description=one.about)
            for uri, one in PAGES.items()
        ]
    )


async def read(calls: Calls, in_worker: InWorker, uri: str) -> types.ReadResourceResult:
    """Return a page. Raise ValueError if there is none with this URI."""
    if uri not in PAGES:
        raise ValueError(f"no resource {fit(uri, Place.LINE)}; the resources are {', '.join(PAGES)}")
    text = await in_worker(PAGES[uri].read, calls)
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type=PAGES[uri].kind, text=text)]
    )


class Bus(InMemorySubscriptionBus):
    """A bus that counts its listeners: without any, the remote is not asked."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners = 0

    def subscribe(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        unsubscribe = super().subscribe(listener)
        self.listeners += 1
        left = False

        def leave() -> None:
            nonlocal left
            self.listeners -= 0 if left else 1
            left = True
            unsubscribe()

        return leave


@dataclass(slots=True)
class Subscriptions:
    """Serves `subscriptions/listen`: notifies clients of pages that have changed."""

    calls: Calls
    in_worker: InWorker
    bus: Bus = field(default_factory=Bus)
    _handler: ListenHandler = field(init=False)
    _watch: asyncio.Task[None] | None = None
    _seen: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._handler = ListenHandler(self.bus)

    async def listen(
        self, ctx: ServerRequestContext[Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        if self._watch is None or self._watch.done():
            # BEFORE the acknowledgement, so that the client hears of every change after it.
            self._seen = await self.in_worker(self.calls.marks)
            self._watch = asyncio.create_task(self._tell())
        return await self._handler(ctx, params)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if not self.bus.listeners:
                self._watch = None
                return
            with contextlib.suppress(GitcoordError, OSError):  # the next check tries again
                now: Mapping[str, object] = await self.in_worker(self.calls.marks)
                for name, mark in now.items():
                    if mark != self._seen.get(name):
                        await self.bus.publish(ResourceUpdated(uri=f"gitcoord://{name}"))
                self._seen = now
