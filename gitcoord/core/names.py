"""Names: of agents (what people type) and of nodes and refs (what git and file systems accept)."""

from __future__ import annotations

import re

from gitcoord.core.errors import Refused

AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}\Z")
NODE = re.compile(r"[a-z0-9][a-z0-9-]{0,40}\Z")
EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
UID_CHARACTERS = 16
UID = re.compile(r"[0-9a-z]{16}\Z")

UID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base32: no i, l, o, u, so that an id can be read aloud."""

_PAIRS = [one + other for one in UID_ALPHABET for other in UID_ALPHABET]


def is_agent_id(text: str) -> bool:
    return bool(AGENT.match(text)) and text[-1] not in " ."


def agent_id(text: str) -> str:
    """`text` if it may name an agent; Refused with the rule otherwise."""
    if is_agent_id(text):
        return text
    raise Refused(
        f"{text!r} cannot name an agent: use 1 to 63 of A-Z a-z 0-9 space . _ -, "
        "beginning with a letter or digit and not ending in space or dot"
    )


def same_agent(one: str, other: str) -> bool:
    """Agent ids are unique without regard to case: files on macOS and Windows are named for them."""
    return one.casefold() == other.casefold()


def node_id(text: str) -> str:
    """`text` if it may name a node; Refused with the rule otherwise."""
    if NODE.match(text):
        return text
    raise Refused(
        f"{text!r} cannot name a node: use 1 to 41 of a-z 0-9 -, beginning with a letter or digit"
    )


def event_type(text: str) -> str:
    """`text` if it may be an event's type; Refused with the rule otherwise."""
    if EVENT_TYPE.match(text):
        return text
    raise Refused(f"{text!r} cannot be an event's type: use a-z 0-9 _, beginning with a letter, at most 64")


def uid_from(entropy: bytes) -> str:
    """An event's id from 10 bytes: 80 bits as 16 characters of base32."""
    number = int.from_bytes(entropy[:10], "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(70, -1, -10)])
