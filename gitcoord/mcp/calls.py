"""Calls of an AI agent: served by one node, one after the other, after a sync if the state may be stale.

Each answer names the position of the state that it is from, the age of that state, and how long the call waited.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import filelock

from gitcoord.core.commands import Answer, Command, Query
from gitcoord.core.errors import GitcoordError, NotConfirmed, Refused
from gitcoord.core.format.event import Event
from gitcoord.core.names import same_agent
from gitcoord.core.text import NOTICE as NOTICE_OF_PAGES
from gitcoord.core.text import cut, fit_value, for_model
from gitcoord.mcp import answers
from gitcoord.mcp.answers import NOTICE
from gitcoord.mcp.news import News, rows_of
from gitcoord.mcp.own_tools import Own
from gitcoord.mcp.tools import PAGE, tools
from gitcoord.node import ledger_pages, peers, status_cache
from gitcoord.node.clock import utc_now
from gitcoord.node.node import Node
from gitcoord.node.operations import local_pages, submit
from gitcoord.node.operations.status import status
from gitcoord.node.writer import Writer
from gitcoord.store.home.home import Home

ANSWER_S = 45.0  # until there is some answer; clients give up after 60 s and their models try again
COMMAND_S = 40.0  # for the ledger's verdict, including the sync before it
OUTAGE_S = 5.0  # for the verdict if the remote did not answer just before
FRESH_S = 0.25  # a read syncs if the state is older; a burst of calls syncs once
SYNC_S = 5.0  # for another process's round
BUSY_POLL_S = 0.05
TRY_AGAIN_S = 15.0  # after a failed sync: until then the answer is from the local state
PAGE_BYTES_MAX = 200_000  # of communication.md: a model can read that much
MAY_BE_OLD = (  # reads whose answer changes seldom, or is not critical: the rounds of a running agent are enough
    "agent list",
    "agent show",
    "directive list",
    "message list",
    "message show",
    "review list",
    "sent",
    "task explain",
    "workflow defined",
    "workflow list",
    "workflow status",
)


@dataclass(slots=True)
class Calls:
    """The calls of one agent. Not shared between threads, except for `late`."""

    open: Callable[[], Node]
    actor: str
    warning: Callable[[], str] = str  # a problem of the agent's own `agent run`; "" if there is none
    news: News = field(default_factory=News)
    _node: Node | None = None
    _home: Home | None = None
    _failed_s: float = float("-inf")
    _marked: tuple[int, dict[str, object]] | None = None  # the position, and what the pages showed there

    @property
    def node(self) -> Node:
        if self._node is None:
            self._node = self.open()
            self._home = self._node.home
        return self._node

    def close(self) -> None:
        if self._node is not None:
            self._node.close()

    def call(self, name: str, raw_args: Mapping[str, Any]) -> dict[str, Any]:
        """Call the tool and return its answer as JSON values: all text of others is in `data`. Raise GitcoordError."""
        began, since = time.monotonic(), utc_now()
        command, what, rest = tools()[name].chosen(raw_args)
        after = _rows_to_skip(rest.pop("after", 0)) if "after" not in what.arguments.model_fields else 0
        self.sync_if_stale(None if command in MAY_BE_OLD else FRESH_S)
        if not isinstance(what, Command):
            return self.with_age(self._read(what, rest, after), began)
        try:
            left_s = max(OUTAGE_S, COMMAND_S - (time.monotonic() - began)) if self._online() else OUTAGE_S
            done = submit.act(self.node, what, rest, actor=self.actor, timeout_s=left_s)
        except NotConfirmed as wrong:
            why = str(wrong).partition(": it is safe on this disk")[0]
            return self.with_age(answers.queued(self._written(self.node.disk.pending(), since), why), began)
        return self.with_age(answers.receipt(command, done), began)

    def _read(self, what: Query | Own, rest: Mapping[str, Any], after: int) -> Answer:
        if isinstance(what, Own):
            return answers.shaped(what.ask(self.node, self.actor, submit.arguments(what, rest)))
        answer = submit.ask(self.node, what, rest, actor=self.actor)
        if isinstance(answer, Sequence):
            note = submit.beside(self.node, what, rest, actor=self.actor).get("note")
            return answers.page(what, answer, after, PAGE) | ({"note": note} if note else {})
        return answers.shaped(answer)

    def with_age(self, data: Answer, began_s: float) -> dict[str, Any]:
        """Return an answer with the position and age of its state, and the seconds since `began_s`."""
        warning = self.warning()
        return {
            **self.as_of(began_s),
            **({"warning": warning} if warning else {}),
            "notice": NOTICE,
            "data": fit_value(data),
        }

    def as_of(self, began_s: float) -> dict[str, Any]:
        age_s = self._age_s()
        known = {"position": self.node.fleet.position} | ({} if age_s is None else {"age_s": round(age_s, 1)})
        return {"as_of": known, "waited_s": round(time.monotonic() - began_s, 1)}

    def late(self, since: str) -> dict[str, Any]:
        """Return the answer to a call that takes longer than a client waits. Safe to call in any thread.

        `since`: the time of the call; events that the agent wrote from then on are in the answer.
        """
        why = f"the remote has not answered for {ANSWER_S:.0f} s"
        events: Sequence[Event] = ()
        if self._home is not None:
            with contextlib.suppress(GitcoordError, OSError):
                events = self._written(Writer(Home(self._home.path)).disk.pending(), since)
        return {"as_of": {"position": "unknown"}, "waited_s": ANSWER_S, "data": answers.queued(events, why)}

    def _written(self, pending: Sequence[Event], since: str) -> list[Event]:
        return [one for one in pending if same_agent(one.actor, self.actor) and one.timestamp >= since]

    def new(self) -> list[dict[str, Any]]:
        """Return the news that this server has not shown its client yet, as rows."""
        self.sync_if_stale(max(FRESH_S, self.node.local.profile.poll_s))
        rows: list[dict[str, Any]] = answers.without_empties(self.news.new(self.node, self.actor))
        return rows

    def status(self) -> str:
        self.sync_if_stale(FRESH_S)
        return for_model(
            {
                "notice": NOTICE_OF_PAGES,
                "data": status(self.node.writer, status_cache.compute(self.node.replica.branch, self.node.home)),
            }
        )

    def inbox(self) -> str:
        self.sync_if_stale(FRESH_S)
        return self._page(rows_of(self.node, self.actor, "inbox"))

    def board(self) -> str:
        self.sync_if_stale(FRESH_S)
        return self._page(self._board())

    def _board(self) -> Answer:
        query = submit.named("board")
        assert isinstance(query, Query)
        return cast(Answer, submit.ask(self.node, query, {}, actor=self.actor, again=False))

    def _page(self, value: Any) -> str:
        return for_model({"notice": NOTICE_OF_PAGES, "data": answers.without_empties(value)})

    def marks(self) -> dict[str, object]:
        """Return a value for each page, by its name, that changes whenever the page does."""
        self.sync_if_stale(max(FRESH_S, self.node.local.profile.poll_s))
        node, position = self.node, self.node.fleet.position
        if self._marked is None or self._marked[0] != position:
            unread = [one["id"] for one in rows_of(node, self.actor, "inbox")]
            board = {name: part for name, part in self._board().items() if name not in ("position", "as_of")}
            self._marked = position, {"inbox": unread, "board": board}
        alive = sorted((agent, one.state) for agent, one in peers.agent_liveness(node).items())
        progress = node.home.progress()
        return {**self._marked[1], "status": (position, alive, progress.online, len(node.disk.pending()))}

    def communication(self) -> str:
        self.sync_if_stale(FRESH_S)
        page = ledger_pages.newest_page(local_pages.with_pending(self.node))
        return f"{NOTICE_OF_PAGES}\n\n" + page[:PAGE_BYTES_MAX].decode("utf-8", "ignore")

    # Syncing

    def sync_if_stale(self, fresh_s: float | None) -> None:
        """Sync if this node's state is older than `fresh_s` seconds; None: only if no running agent syncs here."""
        node = self.node
        if fresh_s is None:
            fresh_s = float("inf") if node.home.running() else node.local.profile.poll_s
        if time.monotonic() - self._failed_s < TRY_AGAIN_S:
            return
        end_s = time.monotonic() + SYNC_S
        while not self._is_fresh(fresh_s) and time.monotonic() < end_s:
            try:
                node.sync(tick=False, lock_timeout_s=0)
                return
            except filelock.Timeout:  # another process of this node syncs now: its result is ours
                node.pause(BUSY_POLL_S)
            except GitcoordError:  # in an outage the local state is the answer, and `as_of` says how old it is
                self._failed_s = time.monotonic()
                return

    def _is_fresh(self, fresh_s: float) -> bool:
        age_s = self._age_s()
        return age_s is not None and 0 <= age_s < fresh_s

    def _age_s(self) -> float | None:
        """Return the seconds since a process of this node saw the remote; None if none ever did."""
        _, synced_s = peers.observations(self.node.home.cache)
        return None if synced_s is None else time.time() - synced_s

    def _online(self) -> bool:
        progress = self.node.home.progress()
        return progress.online and not progress.problem


def _rows_to_skip(given: object) -> int:
    """Return the number of rows that a client gives as a number or as text. Raise Refused if it is not one."""
    text = str(given)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(f"after: {cut(text, 20)!r} is not a number of rows: give the `next` of the last answer")
    return int(text)
