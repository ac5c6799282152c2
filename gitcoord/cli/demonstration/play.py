"""The state of a demo: its agents, what one scene leaves to the next, and each clone's view of the fleet."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gitcoord.cli.demonstration.stage import Child, Stage

if TYPE_CHECKING:
    from gitcoord.core.format.event import Event
    from gitcoord.node.node import Node

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")


@dataclass(slots=True)
class Play:
    """The state that one scene leaves to the next."""

    stage: Stage
    cast: list[str]
    fast: bool = False
    sample: list[dict[str, Any]] = field(default_factory=list)
    questions: dict[str, float] = field(default_factory=dict)  # id → when it was asked
    views: dict[str, Node] = field(default_factory=dict)

    def view(self, agent: str) -> Node:
        """Open the fleet as an agent's clone knows it, from its disk."""
        from gitcoord.node.node import open_node

        if agent not in self.views:
            self.views[agent] = open_node(self.stage.folder / agent)
        return self.views[agent]

    def close(self) -> None:
        for node in self.views.values():
            node.close()

    def events(self, agent: str) -> list[tuple[int, Event]]:
        return list(self.view(agent).events())

    def leader(self, *, seen_by: str = "") -> tuple[str, int]:
        """Return the leader and its term, as a clone's ledger shows them."""
        terms = self.view(seen_by or self.cast[0]).fleet.terms
        return terms.leader or "nobody", terms.term

    def run(self, agent: str) -> Child:
        handler = f'"{sys.executable}" -I "{self.stage.folder / "answer.py"}"'
        return self.stage.start(agent, "--on-event", handler, "--reply")
