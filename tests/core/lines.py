"""Signed lines for tests of the fold: agents whose keys follow from their names, nodes that keep their own chain."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import BUG
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Event, Head, seal
from gitcoord.core.format.keys import Ed25519Signer, Verifier
from gitcoord.core.names import uid_from
from gitcoord.features import FEATURES

NOW = "2026-11-21T03:04:05.678Z"


def signer_of(agent: str) -> Ed25519Signer:
    return Ed25519Signer(hashlib.sha256(agent.encode()).digest())


def draft(actor: str, type_: str, content: str = "", **fields: Any) -> Draft:
    return Draft(
        actor=actor,
        type=type_,
        content=content,
        timestamp=fields.pop("timestamp", NOW),
        uid=fields.pop("uid", "0" * 16),
        **fields,
    )


@dataclass
class Story:
    """A fold, and what has been said in it. Each agent writes from a node of its own."""

    fleet: FleetState = field(default_factory=lambda: FleetState(FEATURES, Verifier()))
    heads: dict[str, Head] = field(default_factory=dict)
    uids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    lines: list[bytes] = field(default_factory=list)

    def founded(self, agent: str = "alice", **card: Any) -> Story:
        self.control(agent, "fleet_founded", data=card)
        return self

    def joined(self, *agents: str) -> Story:
        for agent in agents:
            self.say(agent, "agent_joined", f"{agent} joins")
        return self

    def say(
        self, actor: str, type_: str, content: str = "", *, signer: Any = None, node: str | None = None, **fields: Any
    ) -> SequencedEvent:
        """The next event of the actor's node, at its position."""
        node = node or f"node-{actor.lower().replace(' ', '-')}"
        head = self.heads.get(node, Head())
        event = self.sealed(actor, type_, content, node=node, after=head, signer=signer, **fields)
        self.heads[node] = event.head
        return self._take(event)

    def control(self, actor: str, type_: str, **fields: Any) -> SequencedEvent:
        """A line outside any chain."""
        return self._take(self.sealed(actor, type_, node=f"node-{actor.lower()}", after=None, **fields))

    def _take(self, event: Event) -> SequencedEvent:
        sequenced = self.fleet.append(event.line)
        self.lines.append(event.line)
        assert BUG not in (sequenced.void or self.fleet.refusals.get(event.uid, "")), (sequenced, self.fleet.refusals)
        return sequenced

    def read(self, position: int) -> bytes:
        """The line at a position."""
        return self.lines[position - 1]

    def elect(self, actor: str, term: int, **fields: Any) -> SequencedEvent:
        data = {"session": f"s-{actor}", "after": self.fleet.digest, "reason": "nobody leads"}
        return self.control(actor, "leader_election", term=term, data=data | fields)

    def sealed(
        self,
        actor: str,
        type_: str,
        content: str = "",
        *,
        node: str,
        after: Head | None,
        signer: Any = None,
        vouch: str | None = None,
        **fields: Any,
    ) -> Event:
        fields.setdefault("uid", uid_from(next(self.uids).to_bytes(10, "big")))
        return seal(
            draft(actor, type_, content, **fields),
            node=node,
            after=after,
            signer=signer or signer_of(actor),
            fleet=self.fleet.id or "",
            vouch=vouch,
        )


FLEET = Story().founded().fleet.id or ""
"""The id of the fleet that `Story().founded()` founds."""
