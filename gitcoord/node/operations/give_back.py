"""Giving back: reservations of this node whose branch is over."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gitcoord.core.errors import GitcoordError
from gitcoord.node.operations import branch_ends

if TYPE_CHECKING:
    from gitcoord.features.reservations.state import Reservation
    from gitcoord.node.node import Node


def of_branches(node: Node) -> int:
    """Give back what belongs to branches that are merged or deleted, as far as this clone knows; return how many."""
    mine = [one for one in _of_node(node) if one.branch]
    over = {name: branch_ends.why(node.home.path.parent, name) for name in {one.branch for one in mine}}
    return sum(_release(node, one, over[one.branch]) for one in mine if over[one.branch])


def _of_node(node: Node) -> list[Reservation]:
    """Return this node's reservations in force, without those whose release waits in the queue."""
    waiting = {event.re for event in node.disk.pending() if event.type == "paths_released"}
    held = node.fleet.states["reservations"].held.values()
    return [one for one in held if one.node == node.disk.node and one.id not in waiting]


def _release(node: Node, one: Reservation, why: str) -> bool:
    words = f"{one.agent} releases {', '.join(one.paths[:3])}: {why}"
    with contextlib.suppress(GitcoordError):  # its key is not here
        node.append(node.draft("paths_released", words, actor=one.agent, re=one.id))
        return True
    return False
