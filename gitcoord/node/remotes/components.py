"""The parts of `agent run` that look after other remotes than the shared one."""

from __future__ import annotations

from collections.abc import Callable

from gitcoord.node.guards import Component
from gitcoord.node.node import Node
from gitcoord.node.remotes.mirror_writer import MirrorWriter
from gitcoord.node.remotes.old_remote import OldRemote


def components(node: Node, *, say: Callable[[str, str], None]) -> list[Component]:
    """Return the components of one process."""
    return [MirrorWriter(node, say=say), OldRemote(node, say=say)]
