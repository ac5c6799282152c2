"""The Python interface: one agent's place in a fleet."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from gitcoord.core.errors import Corrupt, Lost, Unreachable
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Event
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node
from gitcoord.store.home.locks import LockHeld


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of `append`. `level` is "queued", "durable" or "sequenced"; `position` is None until sequenced."""

    event: Event
    level: str
    position: int | None = None

    @property
    def id(self) -> str:
        """Return the event's permanent id."""
        return self.event.uid


class Member:  # the public name in `gitcoord`, though the fold has a Member too
    """An agent in a fleet; a context manager. Do not share it between threads: make one for each."""

    def __init__(self, node: Node, agent: str) -> None:
        self.node = node
        self.agent = agent

    def __enter__(self) -> Member:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.node.close()

    def append(
        self,
        type: str,
        content: str,
        *,
        to: Sequence[str] = (),
        re: str | None = None,
        interaction: int | None = None,
        data: Mapping[str, Any] | None = None,
        wait: str = "queued",
        timeout_s: float = 60.0,
        allow_secret: bool = False,
    ) -> Receipt:
        """Write an event and return its receipt. The event is then on the local disk, and has reached the level `wait`.

        `to` has agent ids; `re` is the id of the event that this one answers; `interaction` is the number of the
        conversation; `data` has the fields of the event's type; `wait` is "queued", "durable" or "sequenced".

        Raise Refused (invalid arguments, or a secret in them unless `allow_secret`), NotConfirmed (the level was not
        reached within `timeout_s`; the event stays queued), NoEffect (a Lost: the event is in the ledger and changed
        nothing; the message says why), Paused (the disk failed).
        """
        draft = self.node.draft(type, content, actor=self.agent, to=to, re=re, interaction=interaction, data=data)
        [event] = self.node.append(draft, on_secret=OnSecret.ALLOW if allow_secret else None)
        if wait == "queued":
            return Receipt(event, "queued")
        return Receipt(event, *self.node.confirm(event, wait, timeout_s=timeout_s))

    def sync(self) -> None:
        """Do one round with the remote. Raise Unreachable, BadCredentials, Denied."""
        self.node.sync()

    def events(self, *, since: int = 0, follow: bool = False, poll_s: float | None = None) -> Iterator[Event]:
        """Yield the sequenced events after position `since` in ledger order; with `follow`, wait for more forever.

        `poll_s` is the time between two rounds while following; None: that of the fleet's profile.
        """
        while True:
            for since, event in self.node.events(since):
                yield event
            if not follow:
                return
            if self.node.home.running():
                time.sleep(0.1)  # `agent run` fetches for the whole node
            else:
                time.sleep(self.node.local.profile.poll_s if poll_s is None else poll_s)
                # An outage, another fleet's ledger on the remote, or others are busy: go on.
                with contextlib.suppress(Unreachable, Corrupt, Lost, LockHeld):
                    self.node.sync()

    @property
    def state(self) -> FleetState:
        """Return the fold of the ledger as this node last saw it: members, terms, positions, features."""
        return self.node.fleet


def join(path: str | Path = ".", *, agent: str, remote: str | None = None) -> Member:
    """Return `agent` as a member of the fleet of the clone at `path`. Join or found a fleet first if it is in none.

    `remote` is a name, URL or path; None: the clone's own remote. Raise what `init` raises.
    """
    joined = init(Path(path).resolve(), InitRequest(agent=agent, remote=remote))
    return Member(joined.node, agent)
