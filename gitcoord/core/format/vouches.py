"""Vouches: a node's own key signs the authors' keys that may write from the node (`fold/chains.py` requires it).

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
    """Return the vouch for `key`: `signer`, which has the key of `node`, signs that it may write from there."""
    return signer.key + signer.sign(_vouched(node, key, fleet))


def voucher_of(event: Event) -> tuple[str, str]:
    """Return the node key that an event's vouch names, and its signature."""
    text = event.vouch or ""
    return text[: names.KEY_CHARACTERS], text[names.KEY_CHARACTERS :]


def vouched_message(event: Event, fleet: str) -> bytes | None:
    """Return the bytes that the signature in an event's vouch covers; None if it names the key of another node."""
    key, _ = voucher_of(event)
    return _vouched(event.node, event.key, fleet) if _tag_of(key) == names.node_tag(event.node) else None


def _vouched(node: str, key: str, fleet: str) -> bytes:
    return context_of(fleet) + json.dumps(["vouched", node, key]).encode()


def _tag_of(key: str) -> str:
    return names.uid_from(hashlib.sha256(b"gitcoord node\n" + key.encode()).digest())
