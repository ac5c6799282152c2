"""Vouches: a node's own key says which authors' keys may write from the node (`fold/chains.py` asks for it).

The node's id ends in a tag that follows from the node's key, so nobody else can vouch for it.
"""

from __future__ import annotations

import hashlib
import json

from gitcoord.core import names
from gitcoord.core.format.event import Event, Signer, context_of


def node_id(name: str, key: str) -> str:
    """Return the id of the node that is called `name`, at most 24 characters, and has this public key."""
    return names.node_id(f"{name}-{_tag_of(key)}")


def vouch(signer: Signer, node: str, key: str, fleet: str) -> str:
    """Return what lets the holder of `key` write from `node`, whose key `signer` has: both keys' tie, signed."""
    return signer.key + signer.sign(_vouched(node, key, fleet))


def voucher_of(event: Event) -> tuple[str, str]:
    """Return the node key that an event's vouch names, and its signature."""
    text = event.vouch or ""
    return text[: names.KEY_CHARACTERS], text[names.KEY_CHARACTERS :]


def vouched_message(event: Event, fleet: str) -> bytes | None:
    """Return the bytes that the signature in an event's vouch covers; None where it names a key of another node."""
    key, _ = voucher_of(event)
    return _vouched(event.node, event.key, fleet) if _tag_of(key) == names.node_tag(event.node) else None


def _vouched(node: str, key: str, fleet: str) -> bytes:
    return context_of(fleet) + json.dumps(["vouched", node, key]).encode()


def _tag_of(key: str) -> str:
    return names.uid_from(hashlib.sha256(b"gitcoord node\n" + key.encode()).digest())
