"""Names: of agents (what people type) and of nodes and refs (what git and file systems accept)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import AnyStr

from gitcoord.core.errors import Refused

AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}\Z")
NODE = re.compile(r"[a-z0-9][a-z0-9-]{0,40}\Z")
NODE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,23}\Z")  # of a node id, before its tag
EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
UID_CHARACTERS = 16
SHORT_LEAST = 4  # digits that may be the beginning of an id, if they are no position
SHORT_SHOWN = 8  # characters of an id, where they tell it from the others
IDS_SHOWN_MAX = 5  # in a message that asks which one is meant
UID = re.compile(r"[0-9a-hjkmnp-tv-z]{16}\Z")  # of UID_ALPHABET

UID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base32: no i, l, o, u, so that an id can be read aloud."""

_YEAR = "(?:19[7-9][0-9]|[2-9][0-9]{3})"
_LEAP_YEAR = "(?:19(?:7[26]|8[048]|9[26])|[2-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[3579][26])00)"
TIMESTAMP = re.compile(
    rf"(?:{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|{_YEAR}-(?:0[13-9]|1[0-2])-(?:29|30)"
    rf"|{_YEAR}-(?:0[13578]|1[02])-31|{_LEAP_YEAR}-02-29)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?Z\Z"
)
"""A time in UTC of a real day from 1970 to 9999, as events have it. A pattern is fast, and every line is checked."""

# Canonical base64 has one spelling for the same bytes: the spare bits of the last character are zero.
HASH = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")  # 32 bytes
KEY_CHARACTERS = 43
KEY = re.compile(r"(?:[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|hmac-[A-Za-z0-9_-]{16})\Z")  # Ed25519's, or of a secret
SIGNATURE = re.compile(r"[A-Za-z0-9_-]{42}(?:[A-Za-z0-9_-]{43}[AQgw]|[AEIMQUYcgkosw048])\Z")  # 64 bytes; an HMAC's 32

VOUCH = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048][A-Za-z0-9_-]{85}[AQgw]\Z")  # a key and what it signed

RESERVED = ("all", "anyone", "everyone", "fleet", "gitcoord", "leader", "me", "nobody", "system")
"""What messages and people call somebody else than one agent."""
_ALIKE = str.maketrans({"1": "l", "0": "o", " ": "-", "_": "-", ".": "-"})

_PAIRS = [one + other for one in UID_ALPHABET for other in UID_ALPHABET]


def inner(pattern: re.Pattern[str]) -> str:
    """Return the pattern's text, to be part of a longer one."""
    return pattern.pattern.removesuffix(r"\Z")


WORKTREE = "{worktree}"
"""In an agent's name that is typed or set: the name of the work tree in which the command is run."""


def in_worktree(named: str, worktree: str) -> str:
    """Return an agent's name as it is meant in a work tree: one committed setting serves every work tree."""
    return named.replace(WORKTREE, worktree)


def is_agent_id(text: str) -> bool:
    """Return whether `text` may name an agent."""
    return bool(AGENT.match(text)) and text[-1] not in " ."


def agent_id(text: str) -> str:
    """Return `text`. Raise Refused, with the rule, if it may not name an agent."""
    if is_agent_id(text):
        return text
    raise Refused(
        f"{text!r} cannot name an agent: use 1 to 63 of A-Z a-z 0-9 space . _ -, "
        "beginning with a letter or digit and not ending in space or dot"
    )


def same_agent(one: str, other: str) -> bool:
    """Return whether two ids name the same agent. Case does not count: on macOS and Windows files have such names."""
    return one.casefold() == other.casefold()


def look_of(agent: str) -> str:
    """Return the same text for agent ids that a person takes for each other, such as `Ieader` and `leader`.

    Capital I, l and 1 look alike, as do O and 0, `rn` and m, `vv` and w, and all that separates words.
    """
    look = agent.replace("I", "l").casefold().translate(_ALIKE)
    return look.replace("rn", "m").replace("vv", "w")


def node_id(text: str) -> str:
    """Return `text`. Raise Refused, with the rule, if it may not name a node."""
    if NODE.match(text):
        return text
    raise Refused(f"{text!r} cannot name a node: use 1 to 41 of a-z 0-9 -, beginning with a letter or digit")


def node_name(text: str) -> str:
    """Return `text`. Raise Refused, with the rule, if no node id may begin with it."""
    if NODE_NAME.match(text):
        return text
    raise Refused(f"{text!r} cannot name a node: use 1 to 24 of a-z 0-9 -, beginning with a letter or digit")


def node_tag(node: str) -> str | None:
    """Return the end of a node id that follows from the node's key; None if it has no such end."""
    tag = node[-UID_CHARACTERS:]
    return tag if node[-UID_CHARACTERS - 1 : -UID_CHARACTERS] == "-" and UID.match(tag) else None


def event_type(text: str) -> str:
    """Return `text`. Raise Refused, with the rule, if it may not be an event's type."""
    if EVENT_TYPE.match(text):
        return text
    raise Refused(f"{text!r} cannot be an event's type: use a-z 0-9 _, beginning with a letter, at most 64")


def uid_from(entropy: bytes) -> str:
    """Return an event's id made of 10 bytes: 80 bits as 16 characters of base32."""
    n, pair = int.from_bytes(entropy[:10], "big"), _PAIRS
    return (
        f"{pair[n >> 70]}{pair[n >> 60 & 1023]}{pair[n >> 50 & 1023]}{pair[n >> 40 & 1023]}"
        f"{pair[n >> 30 & 1023]}{pair[n >> 20 & 1023]}{pair[n >> 10 & 1023]}{pair[n & 1023]}"
    )  # a loop takes twice the time


def named_id(text: str, known: Iterable[str], positions: Mapping[str, int], what: str, *, shown_by: str) -> str:
    """Return the one of the `known` ids that `text` names, by its beginning or its event's position. Raise Refused."""
    given = text.strip().lower()
    ids = list(known)
    if given.isdigit() and len(given) < UID_CHARACTERS:
        found = [uid for uid in ids if positions.get(uid) == int(given)]
        found = found or [uid for uid in ids if len(given) >= SHORT_LEAST and uid.startswith(given)]
    else:
        found = [uid for uid in ids if given and uid.startswith(given)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(f"no {what} {text!r} is known here: `gitcoord {shown_by}` lists them")
    raise _ambiguous(text, found)


def _ambiguous(text: str, ids: Iterable[str]) -> Refused:
    """Return the error for a text with which several ids begin."""
    found = told_apart(sorted(set(ids)))
    more = f" or {len(found) - IDS_SHOWN_MAX} more" if len(found) > IDS_SHOWN_MAX else ""
    return Refused(f"{text!r} may be {', '.join(found[:IDS_SHOWN_MAX])}{more}: give more of it")


def told_apart(ids: Iterable[str]) -> list[str]:
    """Return these ids in their order, each as short as it can be and still differ from the others."""
    listed = list(ids)
    most = max((shared_beginning(one, other) for one, other in pairwise(sorted(set(listed)))), default=0)
    return [one[: max(SHORT_SHOWN, most + 1)] for one in listed]


def shared_beginning(one: AnyStr, other: AnyStr) -> int:
    """Return how many characters (or bytes) two texts begin with together."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
