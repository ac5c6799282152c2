"""An event: one signed line of JSON. Its bytes are what counts; they are never serialised again.

The first five fields are those of the original log format. `seq` and `prev` chain the events of one node. Control lines
(an election, a heartbeat) are outside any chain and have neither.

A line has exactly one spelling: a line that `seal` would not write byte for byte is no event. Only the modules of this
folder know the spelling. Others call `parse`, or `raw_line.py`, which looks at a line without parsing it.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gitcoord.core import limits, names
from gitcoord.core.errors import Refused
from gitcoord.core.format import event_fields
from gitcoord.core.format.strict_json import ONE_SPELLING, Malformed, json_object, spelled_object, text_of, written

FORMAT = event_fields.FORMAT

FOUNDING = "fleet_founded"
"""The type of a ledger's first line. It is signed before there is a fleet: the fleet's id follows from the line."""

_SIG = b',"sig":"'
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Signer(Protocol):
    """Signs for one agent."""

    key: str

    def sign(self, message: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as its author wrote it, before it has a place in a chain."""

    actor: str
    type: str
    content: str
    timestamp: str
    uid: str  # the nonce: 16 random characters of base32. The event's uid follows from the author and the nonce
    interaction: int | None = None
    re: str | None = None
    to: tuple[str, ...] = ()
    term: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def event_uid(self) -> str:
        """The `uid` that the event will have."""
        return uid_of(self.actor, self.uid)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a node's chain: the last `seq` and the hash of that line. `Head()` is an empty chain."""

    seq: int = 0
    hash: str = ""


class Event(NamedTuple):
    """A parsed line. Control lines have no `seq` and `prev`. (A tuple is made in a third of a dataclass's time.)"""

    interaction: int | None
    actor: str
    type: str
    content: str
    timestamp: str
    uid: str  # the permanent identity: it is not in the line, but follows from `actor` and `nonce`
    nonce: str
    node: str
    seq: int | None
    prev: str | None
    vouch: str | None  # the node key's vouch for `key`, if that is new to the chain (`chains.py`)
    re: str | None
    to: tuple[str, ...]
    term: int | None
    data: Mapping[str, Any]
    key: str
    sig: str
    line: bytes
    head: Head  # the end of its node's chain after this event

    def draft(self) -> Draft:
        """Return the event as a draft, to be chained again. Its identity (`uid`) stays."""
        return Draft(
            actor=self.actor,
            type=self.type,
            content=self.content,
            timestamp=self.timestamp,
            uid=self.nonce,
            interaction=self.interaction,
            re=self.re,
            to=self.to,
            term=self.term,
            data=self.data,
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
        """The original author and time of an imported event, as its importer wrote them."""
        source = self.data.get("source")
        return source if isinstance(source, dict) else {}

    def as_json(self) -> dict[str, Any]:
        """Return the line as a JSON object, with the event's `uid` added."""
        return json_object(self.line) | {"uid": self.uid}


def hash_of(line: bytes) -> str:
    """Return the SHA-256 of a line in base64url without padding: 43 characters."""
    digest = hashlib.sha256(line).digest()
    return b2a_base64(digest, newline=False)[:43].translate(_URL_SAFE).decode()


def uid_of(actor: str, nonce: str) -> str:
    """Return the identity of an event of `actor` with `nonce`. No event of another author can have it."""
    return names.uid_from(hashlib.sha256(f"{actor.casefold()}\n{nonce}".encode("utf-8", "surrogatepass")).digest())


def fleet_id_of(founding: bytes) -> str:
    """Return the id of the fleet that a line founds: 160 bits, so that nobody can make two fleets with one id."""
    digest = hashlib.sha256(founding).digest()
    return names.uid_from(digest) + names.uid_from(digest[10:])


def context_of(fleet: str) -> bytes:
    """Return the bytes to sign before a message, so that no signature is valid in another fleet or format."""
    return f"gitcoord/{FORMAT} {fleet}\n".encode()


def seal(draft: Draft, *, node: str, after: Head | None, signer: Signer, fleet: str, vouch: str | None = None) -> Event:
    """Return the signed event for `draft`: the next one after `after` in the node's chain, or a control line (None).

    Raise Refused if a name is wrong, or the line is too large.
    """
    names.agent_id(draft.actor)
    names.event_type(draft.type)
    seq, prev = (None, None) if after is None else (after.seq + 1, after.hash)
    try:
        signed = _signed_text(draft, node, seq, prev, vouch, signer.key)
    except (ValueError, TypeError, RecursionError) as wrong:
        raise Refused(f"this cannot be written as JSON text: {wrong}") from None
    line = signed + _SIG + signer.sign(_context(draft.type, fleet) + signed).encode() + b'"}'
    most = limits.EVENT_BYTES_MAX - limits.VOUCH_BYTES  # so that a vouch can be added where it is needed
    size = len(line) - (limits.VOUCH_BYTES if vouch else 0)
    if size > most:
        raise Refused(
            f"the event has {size} bytes; at most {most} fit: put the content into a file or a commit and name that"
        )
    try:
        return parse(line)
    except Malformed as wrong:
        raise Refused(f"not a valid event: {wrong}") from None


def _signed_text(said: Draft, node: str, seq: int | None, prev: str | None, vouch: str | None, key: str) -> bytes:
    """Return the line up to its signature, in its one spelling."""
    fields: dict[str, Any] = {
        "interaction": said.interaction,
        "actor": said.actor,
        "type": said.type,
        "content": said.content,
        "timestamp": said.timestamp,
        "nonce": said.uid,
        "node": node,
    }
    if seq is not None:
        fields |= {"seq": seq, "prev": prev}
    if vouch is not None:
        fields["vouch"] = vouch
    if said.re is not None:
        fields["re"] = said.re
    if said.to:
        fields["to"] = list(said.to)
    if said.term is not None:
        fields["term"] = said.term
    if said.data:
        fields["data"] = dict(said.data)
    return written(fields | {"key": key})[:-1].encode()


def _context(type_: str, fleet: str) -> bytes:
    return context_of("" if type_ == FOUNDING else fleet)


def signed_message(event: Event, fleet: str) -> bytes:
    """Return the bytes that the signature of an event of this fleet covers."""
    return _context(event.type, fleet) + signed_part(event.line)


def signed_part(line: bytes) -> bytes:
    """Return the bytes of a line that its signature covers."""
    return line[: line.rindex(_SIG)]


def parse(line: bytes) -> Event:
    """Return the event in `line` (without its newline). Raise Malformed, and no other error."""
    if len(line) > limits.EVENT_BYTES_MAX:
        raise Malformed(f"{len(line)} bytes, more than {limits.EVENT_BYTES_MAX}")
    return _usual(line) or _looked_through(line)


def _usual(line: bytes) -> Event | None:
    """Return the event, in half of the time, if the line matches the pattern of nearly all lines; None otherwise."""
    try:
        found = event_fields.USUAL_LINE.match(line.decode())
        if found is None:
            return None
        interaction, actor, type_, content, timestamp, nonce, node, seq, prev, vouch, re_, to, term, data, key, sig = (
            found.groups()
        )
        if data and data.count("{") + data.count("[") >= limits.JSON_DEPTH_MAX:
            return None
        return Event(
            None if interaction == "null" else int(interaction),
            actor,
            type_,
            text_of(content) if "\\" in content else content,
            timestamp,
            uid_of(actor, nonce),
            nonce,
            node,
            int(seq) if seq else None,
            prev,
            vouch,
            re_,
            tuple(to.split('","')) if to else (),
            int(term) if term else None,
            spelled_object(data) if data else {},
            key,
            sig,
            line,
            Head(int(seq or 0), hash_of(line)),
        )
    except (UnicodeDecodeError, Malformed):
        return None


def _looked_through(line: bytes) -> Event:
    """Return the event, read field by field. It is as strict as `_usual`, and Malformed says what is wrong."""
    fields = json_object(line)
    event_fields.check(fields)
    spelled_object(line.decode())
    seq = fields.get("seq")
    event = Event(
        fields["interaction"],
        fields["actor"],
        fields["type"],
        fields["content"],
        fields["timestamp"],
        uid_of(fields["actor"], fields["nonce"]),
        fields["nonce"],
        fields["node"],
        seq,
        fields.get("prev"),
        fields.get("vouch"),
        fields.get("re"),
        tuple(fields.get("to", ())),
        fields.get("term"),
        fields.get("data", {}),
        fields["key"],
        fields["sig"],
        line,
        Head(seq or 0, hash_of(line)),
    )
    signed = _signed_text(event.draft(), event.node, seq, event.prev, event.vouch, event.key)
    if line != signed + _SIG + event.sig.encode() + b'"}':
        raise Malformed(f"its fields are not in the order, or not left out, as gitcoord writes them: {ONE_SPELLING}")
    return event


def parse_all(lines: Iterable[bytes]) -> list[Event]:
    """Return the events in `lines`. Malformed lines are left out."""
    events = []
    for line in lines:
        try:
            events.append(parse(line))
        except Malformed:
            continue
    return events
