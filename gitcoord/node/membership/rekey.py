"""A new key for an agent: announced by an event that the old key signs, valid as soon as that event is sequenced."""

from __future__ import annotations

import os
import secrets

from gitcoord.core.errors import Refused
from gitcoord.core.format.event import Draft, Event
from gitcoord.core.format.keys import SEED_BYTES, Ed25519Signer, possession
from gitcoord.node.keyring import seed_from_environment
from gitcoord.node.node import Node
from gitcoord.store.files import write_durably


def rekey(node: Node, agent: str) -> tuple[Event, str]:
    """Announce a new key, signed with the old one, and replace the old one as soon as the event is sequenced.

    Return the event, and the new public key. Raise Refused as `check` does, NotConfirmed if the ledger lacks the event.

    The new key is durable BEFORE it is announced: a crash between the two must not lose the only copy.
    """
    check(node, agent)
    coming = node.home.keys.path(agent).with_suffix(".next")
    if not coming.exists():
        write_durably(coming, secrets.token_bytes(SEED_BYTES).hex().encode() + b"\n", mode=0o600)
    new = Ed25519Signer(bytes.fromhex(coming.read_text(encoding="ascii")))
    known = [event for event in node.disk.pending() if event.data.get("key") == new.key]
    event = known[0] if known else node.append(announced(node, agent, new))[0]
    node.confirm(event, "sequenced", timeout_s=60)
    os.replace(coming, node.home.keys.path(agent))
    return event, new.key


def check(node: Node, agent: str) -> None:
    """Raise Refused if the agent's key cannot be changed from here."""
    if node.config.auth == "hmac" or seed_from_environment(agent) is not None:
        raise Refused(
            "only a key in this clone's home can be changed here: this one comes from the environment, "
            "or is the secret that all agents of the fleet share"
        )
    node.keyring.signer(agent)


def announced(node: Node, agent: str, new: Ed25519Signer | None = None) -> Draft:
    """Return a draft that announces the key `new`, with the proof that its holder agrees.

    If `new` is None, return it without a key, to show what would be written.
    """
    data = {}
    if new is not None:
        old = node.keyring.signer(agent).key
        data = {"key": new.key, "proof": new.sign(possession(node.config.fleet_id, agent, old, new.key))}
    return node.draft("key_changed", f"{agent} has a new key", actor=agent, data=data)
