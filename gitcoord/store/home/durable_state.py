"""The durable state of a node: its home as the protocol sees it, and two effects that need the agents' keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gitcoord.core.errors import GitcoordError
from gitcoord.core.format.event import Draft, Event, Head, Signer
from gitcoord.core.round.sight import Sight
from gitcoord.store.home.home import Home

if TYPE_CHECKING:
    from gitcoord.core.ports import Oid


class NodeDisk:
    """The home of one node, and the keys of its agents."""

    def __init__(self, home: Home, *, fleet_id: str, signer: Callable[[str], Signer]) -> None:
        self.home = home
        self.fleet_id = fleet_id
        self.signer = signer

    @property
    def node(self) -> str:
        return self.home.queue.node

    @property
    def base(self) -> Head:
        return self.home.queue.base

    @property
    def broken(self) -> bool:
        return self.home.queue.broken

    @property
    def tip(self) -> Oid | None:
        return self.home.tip

    @property
    def term(self) -> int:
        return self.home.term

    @property
    def sight(self) -> Sight:
        return self.home.sight

    @property
    def orphans(self) -> Sequence[bytes]:
        return self.home.orphans

    def pending(self) -> list[Event]:
        return self.home.queue.pending()

    def pushed(self, oid: Oid) -> bool:
        return self.home.pushed(oid)

    def owns(self, event: Event) -> bool:
        try:
            return self.signer(event.actor).key == event.key
        except GitcoordError:  # the author's key is not here
            return False

    def heartbeats_pushed(self, session: str) -> int:
        return self.home.heartbeats_pushed(session)

    def pushed_last(self) -> Oid | None:
        return self.home.pushed_last()

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        return self.home.queue.append(drafts, signer=self.signer, fleet_id=self.fleet_id)

    def rechain(self, head: Head, without: frozenset[str], node_id: str | None = None) -> None:
        self.home.queue.rechain(head, without=without, node_id=node_id, signer=self.signer, fleet_id=self.fleet_id)
