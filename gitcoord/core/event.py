"""An event is one signed line of JSON; its bytes are its truth and are never written anew.

The first five fields are those of the original five-field log format. `seq` and `prev` chain the events of
one node; control lines (an election, a beat) stand outside any chain and have neither.
"""

from __future__ import annotations

import hashlib
import json
import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gitcoord.core import limits, names
from gitcoord.core.errors import Refused
from gitcoord.core.strict_json import Malformed, json_object

FORMAT = 1
"""The version of the event format; part of what is signed."""

_SIG = b',"sig":"'
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z\Z", re.ASCII)


_TEXTS = ("actor", "type", "content", "timestamp", "uid", "node", "key", "sig")
_TEXTS_OR_ABSENT = ("prev", "re")


class Signer(Protocol):
    """Signs for one agent."""

    key: str

    def sign(self, message: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author wants to say, before it has a place in a chain."""

    actor: str
    type: str
    content: str
    timestamp: str
    uid: str
    interaction: int | None = None
    re: str | None = None
    to: tuple[str, ...] = ()
    term: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a node's chain: the last `seq` and the hash of that line. `Head()` is an empty chain."""

    seq: int = 0
    hash: str = ""


class Event(NamedTuple):
    """A parsed line. `seq` and `prev` are None on control lines. (A tuple: made in a third of a dataclass's time.)"""

    interaction: int | None
    actor: str
    type: str
    content: str
    timestamp: str
    uid: str
    node: str
    seq: int | None
    prev: str | None
    re: str | None
    to: tuple[str, ...]
    term: int | None
    data: Mapping[str, Any]
    key: str
    sig: str
    line: bytes
    head: Head  # where the chain of its node stands after this event

    def draft(self) -> Draft:
        """The same words, free to be chained anew; the identity (`uid`) stays."""
        return Draft(
            actor=self.actor, type=self.type, content=self.content, timestamp=self.timestamp, uid=self.uid,
            interaction=self.interaction, re=self.re, to=self.to, term=self.term, data=self.data,
        )

    @property
    def shown_actor(self) -> str:
        """The author to show: for an imported event, the original one."""
        return str(self.source.get("actor", self.actor))

    @property
    def shown_timestamp(self) -> str:
        """The time to show: for an imported event, the original one."""
        return str(self.source.get("timestamp", self.timestamp))

    @property
    def source(self) -> Mapping[str, Any]:
        """Of an imported event: whom and when its importer says that it is from."""
        source = self.data.get("source")
        return source if isinstance(source, dict) else {}

    def as_json(self) -> dict[str, Any]:
        """The line as a JSON object."""
        value: dict[str, Any] = json.loads(self.line)
        return value


def hash_of(line: bytes) -> str:
    """SHA-256 of a line, base64url without padding: 43 characters."""
    digest = hashlib.sha256(line).digest()
    return b2a_base64(digest, newline=False)[:43].translate(_URL_SAFE).decode()


def context_of(fleet: str) -> bytes:
    """What precedes the signed bytes, so that no signature is good in another fleet or format."""
    return f"gitcoord/{FORMAT} {fleet}\n".encode()


def seal(draft: Draft, *, node: str, after: Head | None, signer: Signer, fleet: str) -> Event:
    """The signed event for `draft`: next after `after` in the node's chain, or a control line (None).

    Raises Refused when a name is wrong or the line is too large.
    """
    fields: dict[str, Any] = {
        "interaction": draft.interaction, "actor": names.agent_id(draft.actor), "type": names.event_type(draft.type),
        "content": draft.content, "timestamp": draft.timestamp, "uid": draft.uid, "node": node,
    }
    if after is not None:
        fields |= {"seq": after.seq + 1, "prev": after.hash}
    if draft.re is not None:
        fields["re"] = draft.re
    if draft.to:
        fields["to"] = list(draft.to)
    if draft.term is not None:
        fields["term"] = draft.term
    if draft.data:
        fields["data"] = dict(draft.data)
    fields["key"] = signer.key
    try:
        signed = _ENCODER.encode(fields)[:-1].encode()
    except (ValueError, TypeError, RecursionError) as wrong:
        raise Refused(f"this cannot be written as JSON text: {wrong}") from None
    fields["sig"] = signer.sign(context_of(fleet) + signed)
    line = signed + _SIG + fields["sig"].encode() + b'"}'
    if len(line) > limits.EVENT_BYTES_MAX:
        raise Refused(
            f"the event has {len(line)} bytes; at most {limits.EVENT_BYTES_MAX} fit: "
            "put the content into a file or a commit and name that"
        )
    try:
        return parse(line) if draft.data else _event(fields, line)  # data is anything: what counts is how it reads
    except Malformed as wrong:
        raise Refused(f"not a valid event: {wrong}") from None


def signed_part(line: bytes) -> bytes:
    """The bytes that a line's signature covers."""
    return line[: line.rindex(_SIG)]


def parse(line: bytes) -> Event:
    """The event that `line` (without its newline) holds. Raises Malformed, never anything else."""
    if len(line) > limits.EVENT_BYTES_MAX:
        raise Malformed(f"{len(line)} bytes, more than {limits.EVENT_BYTES_MAX}")
    return _plain(line) or _otherwise_spelled(line)


def _plain(line: bytes) -> Event | None:
    """The event, if the line is spelled as `seal` spells nearly all; None of any other.

    It takes half of the time: where all fits one pattern, there is no field to be looked at by itself.
    """
    try:
        found = _PLAIN.match(line.decode())
        if found is None:
            return None
        interaction, actor, type_, content, timestamp, uid, node, seq, prev, re_, to, term, data, key, sig = (
            found.groups())
        if data and data.count("{") + data.count("[") >= limits.JSON_DEPTH_MAX:
            return None
        return Event(
            None if interaction == "null" else int(interaction), actor, type_,
            json.loads(f'"{content}"') if "\\" in content else content, timestamp, uid, node, int(seq) if seq else None,
            prev, re_, tuple(to.split('","')) if to else (), int(term) if term else None,
            json_object(data.encode()) if data else {}, key, sig, line, Head(int(seq or 0), hash_of(line)),
        )
    except (UnicodeDecodeError, Malformed):
        return None


def _otherwise_spelled(line: bytes) -> Event:
    fields = json_object(line)
    if _SIG not in line or not line.endswith(b'"}') or b'"' in line[line.rindex(_SIG) + len(_SIG): -2]:
        raise Malformed("`sig` is not its last field")
    return _event(fields, line)


def _event(fields: dict[str, Any], line: bytes) -> Event:
    for name in _TEXTS:
        if type(fields.get(name)) is not str:
            raise Malformed(f"`{name}` is not text")
    for name in _TEXTS_OR_ABSENT:
        if name in fields and type(fields[name]) is not str:
            raise Malformed(f"`{name}` is not text")
    if "interaction" not in fields:
        raise Malformed("`interaction` is missing")
    interaction = fields["interaction"]
    if interaction is not None:
        _check_integer("interaction", interaction, limits.INTERACTION_MAX)
    seq, term, data = fields.get("seq"), fields.get("term"), fields.get("data", {})
    if "seq" in fields:
        _check_integer("seq", seq, limits.SEQ_MAX)
    if "term" in fields:
        _check_integer("term", term, limits.TERM_MAX)
    if type(data) is not dict:
        raise Malformed("`data` is not an object")
    event = Event(
        interaction, fields["actor"], fields["type"], fields["content"], fields["timestamp"], fields["uid"],
        fields["node"], seq, fields.get("prev"), fields.get("re"), _recipients(fields) if "to" in fields else (), term,
        data, fields["key"], fields["sig"], line, Head(seq or 0, hash_of(line)),
    )
    _check(event)
    return event


def _check_integer(name: str, value: Any, most: int) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise Malformed(f"`{name}` is not an integer from 0 to {most}")


def _recipients(fields: dict[str, Any]) -> tuple[str, ...]:
    value = fields["to"]
    if type(value) is not list or len(value) > limits.AGENTS_PER_EVENT_MAX:
        raise Malformed(f"`to` is not a list of at most {limits.AGENTS_PER_EVENT_MAX} agents")
    if not all(type(one) is str and names.is_agent_id(one) for one in value):
        raise Malformed("`to` names what is no agent id")
    return tuple(value)


def parse_all(lines: Iterable[bytes]) -> list[Event]:
    """The events among `lines`; what is none is left out."""
    events = []
    for line in lines:
        try:
            events.append(parse(line))
        except Malformed:
            continue
    return events


def _check(event: Event) -> None:
    if not names.is_agent_id(event.actor):
        raise Malformed("`actor` is not an agent id")
    if not names.EVENT_TYPE.match(event.type):
        raise Malformed("`type` is not an event type")
    if not names.NODE.match(event.node):
        raise Malformed("`node` is not a node id")
    if not names.UID.match(event.uid) or (event.re is not None and not names.UID.match(event.re)):
        raise Malformed("`uid` or `re` is not an event id")
    if not _TIMESTAMP.match(event.timestamp):
        raise Malformed("`timestamp` is not an UTC time")
    if (event.seq is None) != (event.prev is None) or event.seq == 0:
        raise Malformed("`seq` counts from 1 and goes with `prev`")


def _inner(pattern: re.Pattern[str]) -> str:
    return pattern.pattern.removesuffix(r"\Z")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_AGENT = _inner(names.AGENT) + "(?<![ .])"  # what `is_agent_id` says
_TEXT = r'[^"\\\x00-\x1f]*+'
_PLAIN = re.compile(rf"""
    \{{"interaction":(null|0|[1-9][0-9]{{0,8}}),"actor":"({_AGENT})","type":"({_inner(names.EVENT_TYPE)})",
    "content":"({_TEXT}(?:\\["\\/bfnrt]{_TEXT})*+)","timestamp":"({_inner(_TIMESTAMP)})",
    "uid":"({_inner(names.UID)})","node":"({_inner(names.NODE)})"
    (?:,"seq":([1-9][0-9]{{0,14}}),"prev":"({_TEXT})")?
    (?:,"re":"({_inner(names.UID)})")?
    (?:,"to":\["({_AGENT}(?:","{_AGENT}){{0,{limits.AGENTS_PER_EVENT_MAX - 1}}})"\])?
    (?:,"term":(0|[1-9][0-9]{{0,14}}))?
    (?:,"data":(\{{.*\}}))?
    ,"key":"({_TEXT})","sig":"({_TEXT})"\}}\Z""", re.VERBOSE | re.ASCII)  # numbers so short that none is too large
