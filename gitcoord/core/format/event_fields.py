"""The fields of a line: which values each may have. They are checked one by one if a line is not of the usual form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gitcoord.core import limits, names
from gitcoord.core.format.strict_json import TEXT, Malformed

FORMAT = 2
"""The version of the event format. It is part of the signed bytes."""

_PATTERNS = {
    "type": (names.EVENT_TYPE, "an event type"),
    "node": (names.NODE, "a node id"),
    "nonce": (names.UID, "16 characters of base32"),
    "re": (names.UID, "an event id"),
    "vouch": (names.VOUCH, "a key and its signature"),
    "timestamp": (names.TIMESTAMP, "an UTC time of a real day, such as 2026-01-31T08:00:00.000Z"),
    "key": (names.KEY, "a key"),
    "sig": (names.SIGNATURE, "a signature"),
}
_TEXTS = ("actor", "type", "content", "timestamp", "nonce", "node", "key", "sig")
_TEXTS_OR_ABSENT = ("prev", "vouch", "re")
_INTEGERS = {"interaction": limits.INTERACTION_MAX, "seq": limits.SEQ_MAX, "term": limits.TERM_MAX}
_NAMES = frozenset({*_TEXTS, *_TEXTS_OR_ABSENT, *_INTEGERS, "to", "data"})


def check(fields: Mapping[str, Any]) -> None:
    """Raise Malformed with the first field of a line that is wrong. The spelling of the line is not checked."""
    if "uid" in fields and "nonce" not in fields:
        raise Malformed(f"written by format 1 of gitcoord's events; this version reads and writes format {FORMAT}")
    for name in sorted(fields.keys() - _NAMES):
        raise Malformed(f"`{name}` is no field of an event")
    for name in (*_TEXTS, *[name for name in _TEXTS_OR_ABSENT if name in fields]):
        if type(fields.get(name)) is not str:
            raise Malformed(f"`{name}` is not text")
    if "interaction" not in fields:
        raise Malformed("`interaction` is missing")
    for name, most in _INTEGERS.items():
        if name in fields and not (name == "interaction" and fields[name] is None):
            _check_integer(name, fields[name], most)
    if type(fields.get("data", {})) is not dict:
        raise Malformed("`data` is not an object")
    if not names.is_agent_id(fields["actor"]):
        raise Malformed("`actor` is not an agent id")
    for name, (pattern, what) in _PATTERNS.items():
        if name in fields and not pattern.match(fields[name]):
            raise Malformed(f"`{name}` is not {what}")
    _check_recipients(fields.get("to", []))
    _check_chain(fields.get("seq"), fields.get("prev"))
    if "vouch" in fields and "seq" not in fields:
        raise Malformed("`vouch` is for a line in a chain")


def _check_integer(name: str, value: Any, most: int) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise Malformed(f"`{name}` is not an integer from 0 to {most}")


def _check_recipients(value: Any) -> None:
    if type(value) is not list or len(value) > limits.AGENTS_PER_EVENT_MAX:
        raise Malformed(f"`to` is not a list of at most {limits.AGENTS_PER_EVENT_MAX} agents")
    if not all(type(one) is str and names.is_agent_id(one) for one in value):
        raise Malformed("`to` names what is no agent id")


def _check_chain(seq: int | None, prev: str | None) -> None:
    if (seq is None) != (prev is None) or seq == 0:
        raise Malformed("`seq` counts from 1 and goes with `prev`")
    if prev is not None and (prev != "" if seq == 1 else not names.HASH.match(prev)):
        raise Malformed("`prev` is not the hash of the line before, or not empty in the first line")


_AGENT = names.inner(names.AGENT) + "(?<![ .])"  # what `is_agent_id` says
_UID, _HASH = names.inner(names.UID), names.inner(names.HASH)
USUAL_LINE = re.compile(
    rf"""
    \{{"interaction":(null|0|[1-9][0-9]{{0,8}}),"actor":"({_AGENT})","type":"({names.inner(names.EVENT_TYPE)})",
    "content":"({TEXT})","timestamp":"({names.inner(names.TIMESTAMP)})","nonce":"({_UID})",
    "node":"({names.inner(names.NODE)})"
    (?:,"seq":([1-9][0-9]{{0,14}}),"prev":"((?<=,"seq":1,"prev":")|(?<!,"seq":1,"prev":"){_HASH})"
    (?:,"vouch":"({names.inner(names.VOUCH)})")?)?
    (?:,"re":"({_UID})")?
    (?:,"to":\["({_AGENT}(?:","{_AGENT}){{0,{limits.AGENTS_PER_EVENT_MAX - 1}}})"\])?
    (?:,"term":(0|[1-9][0-9]{{0,14}}))?
    (?:,"data":(\{{.+\}}))?
    ,"key":"({names.inner(names.KEY)})","sig":"({names.inner(names.SIGNATURE)})"\}}\Z""",
    re.VERBOSE,
)
"""The pattern of nearly all lines. Its numbers have so few digits that none is too large."""
