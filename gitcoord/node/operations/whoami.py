"""`gitcoord whoami`: the agent that a command writes as, why that one, its key, what it holds, what waits for it."""

from __future__ import annotations

import os
from typing import Any

from gitcoord.core.errors import GitcoordError
from gitcoord.core.format.keys import fingerprint
from gitcoord.features.next import picture
from gitcoord.features.tasks.queries import row
from gitcoord.node.keyring import seed_from_environment
from gitcoord.node.node import Node
from gitcoord.node.operations import submit


def whoami(node: Node, agent: str, source: str) -> dict[str, Any]:
    """Return `whoami --json` for the acting agent, from this clone's fold. `source` says what chose the agent."""
    member = node.fleet.members.get(agent)
    ctx = submit.context(node, agent)
    held = picture.tasks_of(ctx, agent)
    key, kept = _key(node, agent)
    return {
        "agent": agent,
        "chosen_by": source,
        "fleet": node.config.fleet_id,
        "node": node.disk.node,
        "work_tree": node.place,
        "role": node.fleet.members.role_of(agent),
        "key": key,
        "key_from": kept,
        "key_is_members": member is not None and key is not None and fingerprint(member.key) == key,
        "tasks": [row(one) for one in held.working],
        "reservations": picture.reservations_of(ctx, agent),
        "assigned": [row(one) for one in held.assigned],
        "unread": len(picture.unread(ctx)) if member is not None and not member.left else 0,
    }


def _key(node: Node, agent: str) -> tuple[str | None, str]:
    """Return the fingerprint of the agent's key and where the key is stored; None and the reason if it is not here."""
    try:
        key = fingerprint(node.keyring.signer(agent).key)
    except GitcoordError as wrong:
        return None, str(wrong)
    if node.config.auth == "hmac":
        named = "GITCOORD_HMAC_KEY" if os.environ.get("GITCOORD_HMAC_KEY", "").strip() else None
        return key, named or str(node.home.path / "keys" / "hmac.secret")
    return key, "GITCOORD_KEY" if seed_from_environment(agent) else str(node.home.keys.path(agent))
