"""Calls of an AI agent: served by one node, one after the other, after a sync if the state may be stale."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import filelock

from gitcoord.core.commands import Command
from gitcoord.core.errors import GitcoordError
from gitcoord.core.text import NOTICE, fit_value, for_model
from gitcoord.mcp.tools import PAGE, tools
from gitcoord.node import ledger_pages, status_cache
from gitcoord.node.node import Node
from gitcoord.node.operations import local_pages, submit
from gitcoord.node.operations.status import status

COMMAND_S = 60.0  # for the ledger's verdict; less than the time limits of clients
PAGE_BYTES_MAX = 200_000  # of communication.md: a model can read that much


@dataclass(slots=True)
class Calls:
    """Not shared between threads."""

    open: Callable[[], Node]
    actor: str
    _node: Node | None = None
    _looked_s: float = float("-inf")

    @property
    def node(self) -> Node:
        if self._node is None:
            self._node = self.open()
        return self._node

    def close(self) -> None:
        if self._node is not None:
            self._node.close()

    def call(self, name: str, raw_args: Mapping[str, Any]) -> dict[str, Any]:
        """Call the tool and return its answer as JSON values: `data` holds all text of others. Raise GitcoordError."""
        return {"notice": NOTICE, "data": fit_value(self._answer(name, raw_args))}

    def _answer(self, name: str, raw_args: Mapping[str, Any]) -> dict[str, Any]:
        _, what, rest = tools()[name].chosen(raw_args)
        after = rest.pop("after", 0) if "after" not in what.arguments.model_fields else 0
        self._look()
        if isinstance(what, Command):
            done = submit.act(self.node, what, rest, actor=self.actor, timeout_s=COMMAND_S)
            return {
                "ids": [event.uid for event in done.events],
                "level": done.level,
                "position": done.position,
                "contents": [event.content for event in done.events],
                **done.answer,
            }
        answer = submit.ask(self.node, what, rest, actor=self.actor)
        if not isinstance(answer, Sequence):
            return dict(answer)
        rows = list(answer[after : after + PAGE])
        return {"items": rows, "next": after + PAGE if len(answer) > after + PAGE else None}

    def status(self) -> str:
        self._look()
        return for_model(
            {
                "notice": NOTICE,
                "data": status(self.node.writer, status_cache.compute(self.node.replica.branch, self.node.disk.node)),
            }
        )

    def communication(self) -> str:
        self._look()
        page = ledger_pages.newest_page(local_pages.with_pending(self.node))
        return f"{NOTICE}\n\n" + page[:PAGE_BYTES_MAX].decode("utf-8", "ignore")

    def _look(self) -> None:
        """Ask the remote, unless a running agent of this clone does, or this process has just done so."""
        node = self.node
        if node.home.running() or time.monotonic() - self._looked_s < node.local.profile.poll_s:
            return
        with contextlib.suppress(GitcoordError, filelock.Timeout):  # in an outage the local state is the answer
            node.sync(tick=False)
        self._looked_s = time.monotonic()
