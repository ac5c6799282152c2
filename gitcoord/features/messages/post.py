"""Post: what was said to whom, who has read it, and which requests wait for an answer; each reader has one mark.

Events that no feature owns belong to it as well, where they name a recipient or answer somebody. How far a recipient's
node has read the ledger is told by its heartbeats (`Standing.position`): that is what `delivered` means, and costs no
event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fields import Count, Json, Payload, Uid
from gitcoord.core.fold.authority import GUEST, LEADER, Who
from gitcoord.core.format.event import Event
from gitcoord.features.conversation import RECORDS, is_said
from gitcoord.features.typed import Capability, Priority

KEPT_MAX = 3000  # newest messages; the ledger has the rest
AUTHORS_MAX = 1000  # of events without a recipient: so many may still be answered
IDS_MAX = 1000  # named as read by one event
KEPT_OF_ONE_MAX = 1000  # per author: beyond it, the author's own oldest ones are forgotten, and not the others'
READERS_MAX = 1000  # remembered per message
NAMED_MAX = 10  # in one sentence


class Message(Payload):
    """The content, to the agents in `to`; without any, to all. `request_s`: an answer is wanted within so long."""

    SAID: ClassVar[bool] = True

    priority: Priority = "MEDIUM"
    capability: Capability | None = None
    expires_s: float | None = Field(None, gt=0, le=times.SPAN_S_MAX)
    request_s: float | None = Field(None, gt=0, le=times.SPAN_S_MAX)
    payload: Json = Field(default_factory=dict)


class MessagesRead(Payload):
    """The author has read all that was for it up to that position, and these."""

    upto: Count = 0
    ids: list[Uid] = Field([], max_length=IDS_MAX)


class MessagesAcknowledged(Payload):
    """The author has taken note of these. Not by `re`: a receipt is no part of the conversation."""

    ids: list[Uid] = Field(min_length=1, max_length=IDS_MAX)


class RequestLapsed(Payload):
    """By the leader: nobody has answered what `re` names in time."""

    SAID: ClassVar[bool] = True


EVENTS: Mapping[str, type[BaseModel]] = {
    "message": Message,
    "messages_read": MessagesRead,
    "messages_acknowledged": MessagesAcknowledged,
    "request_lapsed": RequestLapsed,
}
AUTHORITY: Mapping[str, Who] = {
    "message": GUEST,
    "messages_read": GUEST,
    "messages_acknowledged": GUEST,
    "request_lapsed": LEADER,
}


@dataclass(slots=True)
class Said:
    """Something that was said to somebody; its words are in the ledger."""

    id: str
    position: int
    at: str
    author: str
    type: str
    to: dict[str, str]  # casefolded, and as it was written; none: all
    re: str | None
    priority: Priority = "MEDIUM"
    capability: str | None = None
    expires_s: float | None = None
    request_s: float | None = None  # a request's time limit for an answer
    answer: str | None = None  # its first one, or the word that there is none
    lapsed: bool = False
    read: dict[str, None] = field(default_factory=dict)  # by whom, casefolded, beside those whose mark lies behind it
    acknowledged: dict[str, str] = field(default_factory=dict)  # by whom, casefolded, and when


@dataclass
class State:
    """`by_author` follows from what was said: the ids of each one's, oldest first."""

    # Ordered: a dict looks for its oldest key behind the places of all that have gone.
    said: OrderedDict[str, Said] = field(default_factory=OrderedDict)  # by id, oldest first
    marks: dict[str, int] = field(default_factory=dict)  # agent, casefolded → all up to that position is read
    waiting: dict[str, None] = field(default_factory=dict)  # ids of requests without an answer
    authors: OrderedDict[str, str] = field(default_factory=OrderedDict)  # of events without a recipient

    def __post_init__(self) -> None:
        self.by_author: dict[str, OrderedDict[str, None]] = {}
        for one in self.said.values():
            self.by_author.setdefault(one.author, OrderedDict())[one.id] = None

    def put(self, one: Said) -> None:
        """Take in something new. The oldest of an author's are forgotten first, where it says very much."""
        self.said[one.id] = one
        mine = self.by_author.setdefault(one.author, OrderedDict())
        mine[one.id] = None
        if len(mine) > KEPT_OF_ONE_MAX:
            self._forget(next(iter(mine)))
        elif len(self.said) > KEPT_MAX:
            self._forget(next(iter(self.said)))

    def _forget(self, uid: str) -> None:
        one = self.said.pop(uid)
        self.waiting.pop(uid, None)
        mine = self.by_author[one.author]
        del mine[uid]
        if not mine:
            del self.by_author[one.author]


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    payload = sequenced.payload
    if sequenced.void is not None:
        return None
    match payload:
        case None:  # most events of a conversation; to ask pydantic's classes takes longer than the rest
            pass
        case MessagesRead():
            _read(state, sequenced.event, payload)
        case MessagesAcknowledged():
            return _acknowledge(state, sequenced.event, payload)
        case RequestLapsed():
            reason = _lapse(state, sequenced.event)
            if reason is not None:
                return reason
    if payload is None or is_said(type(payload)):
        _say(state, sequenced)
    return None


def _say(state: State, sequenced: SequencedEvent) -> None:
    event = sequenced.event
    if event.type in RECORDS or "source" in event.data:
        return  # an imported event was sent long ago
    # A directive to more than an event can name has a list of its own.
    to, known = event.to or tuple(getattr(sequenced.payload, "agents", ())), state.said.get(event.re or "")
    if known is not None and event.type != "request_lapsed":
        _answer(state, known, event)
    if not to and event.re is not None:  # an answer is for who asked
        author = known.author if known is not None else state.authors.get(event.re)
        to = (author,) if author is not None and author != event.actor else ()
    payload = sequenced.payload
    message = payload if payload is not None and isinstance(payload, Message) else None
    if not to and message is None:
        state.authors[event.uid] = event.actor
        _bound(state.authors, AUTHORS_MAX)
        return
    said = Said(
        event.uid,
        sequenced.position,
        event.timestamp,
        event.actor,
        event.type,
        {one.casefold(): one for one in to},
        event.re,
        getattr(payload, "priority", "MEDIUM"),
    )
    if message is not None:
        said.capability, said.expires_s = message.capability, message.expires_s
        if message.request_s is not None and to:
            said.request_s = message.request_s
    state.put(said)
    if said.request_s is not None:
        state.waiting[said.id] = None


def _bound(mapping: OrderedDict[str, Any], most: int) -> None:
    if len(mapping) > most:
        mapping.popitem(last=False)


def _answer(state: State, known: Said, event: Event) -> None:
    if not is_for(known, event.actor):
        return
    _mark(known, event.actor.casefold())
    if known.request_s is not None and known.answer is None:
        known.answer = event.uid
        state.waiting.pop(known.id, None)


def _mark(said: Said, reader: str) -> None:
    if len(said.read) < READERS_MAX:
        said.read[reader] = None


def _read(state: State, event: Event, what: MessagesRead) -> None:
    reader = event.actor.casefold()
    # Nobody reads ahead: a mark that lies further on would hide what is still to come.
    state.marks[reader] = max(state.marks.get(reader, 0), min(what.upto, _newest(state)))
    for uid in what.ids:
        said = state.said.get(uid)
        if said is not None and is_for(said, event.actor):
            _mark(said, reader)


def _newest(state: State) -> int:
    return state.said[next(reversed(state.said))].position if state.said else 0


def _acknowledge(state: State, event: Event, what: MessagesAcknowledged) -> str | None:
    known = [said for uid in what.ids if (said := state.said.get(uid)) is not None and is_for(said, event.actor)]
    for said in known:
        if len(said.acknowledged) < READERS_MAX:
            said.acknowledged.setdefault(event.actor.casefold(), event.timestamp)
        _mark(said, event.actor.casefold())
    return None if known else f"none of them is for {event.actor}"


def _lapse(state: State, event: Event) -> str | None:
    said = state.said.get(event.re or "")
    if said is None or said.id not in state.waiting:
        return "it does not wait any more"
    del state.waiting[said.id]
    said.lapsed = True
    return None


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    for uid in state.waiting:
        said = state.said[uid]
        if ctx.age_s(said.at, said.position) > (said.request_s or 0.0):
            yield Duty(
                "request_lapsed",
                f"{_names(said)} did not answer in time",
                f"request_lapsed:{uid}",
                to=(said.author,),
                re=uid,
            )


def _names(said: Said) -> str:
    names = [*said.to.values()]
    return ", ".join(names[:NAMED_MAX]) + (f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else "")


# For whom, and how far


def is_for(said: Said, agent: str, *, joined: int = 0) -> bool:
    """Return whether the message is addressed to that agent, which joined at that position."""
    key = agent.casefold()
    if not said.to:
        return said.author.casefold() != key and said.position > joined
    return key in said.to


def is_read(state: State, said: Said, agent: str) -> bool:
    key = agent.casefold()
    return state.marks.get(key, 0) >= said.position or key in said.read


def is_over(said: Said, ctx: Context) -> bool:
    return said.expires_s is not None and ctx.age_s(said.at, said.position) > said.expires_s


def recipients(ctx: Context, said: Said) -> list[str]:
    """Return the recipients; of a broadcast, the members of that time that still are members."""
    if said.to:
        return [*said.to.values()]
    return [
        one.id for one in ctx.fleet.members.by_id.values() if not one.left and is_for(said, one.id, joined=one.joined)
    ]


def receipt(ctx: Context, said: Said, agent: str) -> str:
    """Return the delivery to one recipient: acknowledged, read, delivered (its node folded it) or sent."""
    if agent.casefold() in said.acknowledged:
        return "acknowledged"
    if is_read(ctx.state("messages"), said, agent):
        return "read"
    standing = ctx.liveness.get(agent.casefold())
    return "delivered" if standing is not None and standing.position >= said.position else "sent"


def request(said: Said) -> str | None:
    """Return the status of a request: waiting, answered or lapsed; None for anything else."""
    if said.request_s is None:
        return None
    return "answered" if said.answer else "lapsed" if said.lapsed else "waiting"
