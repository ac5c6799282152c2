"""Stored messages: which agents have read them, and which requests wait for an answer.

Events that no feature owns count as messages if they name a recipient or answer an event. A message is `delivered` when
the recipient's heartbeats show that its node has folded it (`AgentLiveness.position`): this costs no event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.format.event import Event
from gitcoord.features.conversation import RECORDS, is_conversation
from gitcoord.features.messages.events import Message, MessagesAcknowledged, MessagesRead, RequestLapsed
from gitcoord.features.typed import Priority

KEPT_MAX = 3000  # newest messages; the ledger has the rest
AUTHORS_MAX = 1000  # events without a recipient whose author is kept, so that an answer finds its recipient
KEPT_OF_ONE_MAX = 1000  # per author: a flood of messages removes only its own author's oldest ones
READERS_MAX = 1000  # remembered per message
NAMED_MAX = 10  # in one sentence


@dataclass(slots=True)
class StoredMessage:
    """An event that is addressed to agents; its text is in the ledger."""

    id: str
    position: int
    at: str
    author: str
    type: str
    to: dict[str, str]  # casefolded → as written; empty: all agents
    re: str | None
    priority: Priority = "MEDIUM"
    capability: str | None = None
    expires_s: float | None = None
    request_s: float | None = None  # a request's time limit for an answer
    answer: str | None = None  # the first answer
    lapsed: bool = False
    read: dict[str, None] = field(default_factory=dict)  # readers (casefolded) whose mark is before this message
    acknowledged: dict[str, str] = field(default_factory=dict)  # agent (casefolded) → when


@dataclass
class State:
    """`by_author` follows from `messages`: the ids of each author, oldest first."""

    # An OrderedDict finds its oldest key at once; a dict walks over the slots of all deleted keys.
    messages: OrderedDict[str, StoredMessage] = field(default_factory=OrderedDict)  # by id, oldest first
    marks: dict[str, int] = field(default_factory=dict)  # agent, casefolded → all up to that position is read
    waiting: dict[str, None] = field(default_factory=dict)  # ids of requests without an answer
    authors: OrderedDict[str, str] = field(default_factory=OrderedDict)  # of events without a recipient

    def __post_init__(self) -> None:
        self.by_author: dict[str, OrderedDict[str, None]] = {}
        for one in self.messages.values():
            self.by_author.setdefault(one.author, OrderedDict())[one.id] = None

    def put(self, one: StoredMessage) -> None:
        """Store a new message.

        Forget the author's oldest one above KEPT_OF_ONE_MAX, or the oldest of all above KEPT_MAX.
        """
        self.messages[one.id] = one
        own = self.by_author.setdefault(one.author, OrderedDict())
        own[one.id] = None
        if len(own) > KEPT_OF_ONE_MAX:
            self._forget(next(iter(own)))
        elif len(self.messages) > KEPT_MAX:
            self._forget(next(iter(self.messages)))

    def _forget(self, uid: str) -> None:
        one = self.messages.pop(uid)
        self.waiting.pop(uid, None)
        own = self.by_author[one.author]
        del own[uid]
        if not own:
            del self.by_author[one.author]


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    payload = sequenced.payload
    if sequenced.void is not None:
        return None
    match payload:
        case None:  # first, since most events have no payload, and isinstance of pydantic's classes is slow
            pass
        case MessagesRead():
            _read(state, sequenced.event, payload)
        case MessagesAcknowledged():
            return _acknowledge(state, sequenced.event, payload)
        case RequestLapsed():
            reason = _lapse(state, sequenced.event)
            if reason is not None:
                return reason
    if payload is None or is_conversation(type(payload)):
        _store(state, sequenced)
    return None


def _store(state: State, sequenced: SequencedEvent) -> None:
    event = sequenced.event
    if event.type in RECORDS or "source" in event.data:
        return  # imported events were sent long ago
    # A directive to more agents than an event can name has a list of its own.
    to, known = event.to or tuple(getattr(sequenced.payload, "agents", ())), state.messages.get(event.re or "")
    if known is not None and event.type != "request_lapsed":
        _answer(state, known, event)
    if not to and event.re is not None:  # an answer is for the agent that asked
        author = known.author if known is not None else state.authors.get(event.re)
        to = (author,) if author is not None and author != event.actor else ()
    payload = sequenced.payload
    sent = payload if payload is not None and isinstance(payload, Message) else None
    if not to and sent is None:
        state.authors[event.uid] = event.actor
        _bound(state.authors, AUTHORS_MAX)
        return
    message = StoredMessage(
        event.uid,
        sequenced.position,
        event.timestamp,
        event.actor,
        event.type,
        {one.casefold(): one for one in to},
        event.re,
        getattr(payload, "priority", "MEDIUM"),
    )
    if sent is not None:
        message.capability, message.expires_s = sent.capability, sent.expires_s
        if sent.request_s is not None and to:
            message.request_s = sent.request_s
    state.put(message)
    if message.request_s is not None:
        state.waiting[message.id] = None


def _bound(mapping: OrderedDict[str, Any], most: int) -> None:
    if len(mapping) > most:
        mapping.popitem(last=False)


def _answer(state: State, known: StoredMessage, event: Event) -> None:
    if not is_for(known, event.actor):
        return
    _mark(known, event.actor.casefold())
    if known.request_s is not None and known.answer is None:
        known.answer = event.uid
        state.waiting.pop(known.id, None)


def _mark(message: StoredMessage, reader: str) -> None:
    if len(message.read) < READERS_MAX:
        message.read[reader] = None


def _read(state: State, event: Event, payload: MessagesRead) -> None:
    reader = event.actor.casefold()
    # A mark beyond the newest message would hide messages that are still to come.
    state.marks[reader] = max(state.marks.get(reader, 0), min(payload.upto, _newest(state)))
    for uid in payload.ids:
        message = state.messages.get(uid)
        if message is not None and is_for(message, event.actor):
            _mark(message, reader)


def _newest(state: State) -> int:
    return state.messages[next(reversed(state.messages))].position if state.messages else 0


def _acknowledge(state: State, event: Event, payload: MessagesAcknowledged) -> str | None:
    known = [
        message
        for uid in payload.ids
        if (message := state.messages.get(uid)) is not None and is_for(message, event.actor)
    ]
    for message in known:
        if len(message.acknowledged) < READERS_MAX:
            message.acknowledged.setdefault(event.actor.casefold(), event.timestamp)
        _mark(message, event.actor.casefold())
    return None if known else f"none of them is for {event.actor}"


def _lapse(state: State, event: Event) -> str | None:
    message = state.messages.get(event.re or "")
    if message is None or message.id not in state.waiting:
        return "this request does not wait for an answer any more"
    del state.waiting[message.id]
    message.lapsed = True
    return None


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    for uid in state.waiting:
        message = state.messages[uid]
        if ctx.age_s(message.at, message.position) > (message.request_s or 0.0):
            yield Duty(
                "request_lapsed",
                f"{_names(message)} did not answer in time",
                f"request_lapsed:{uid}",
                to=(message.author,),
                re=uid,
            )


def _names(message: StoredMessage) -> str:
    names = [*message.to.values()]
    return ", ".join(names[:NAMED_MAX]) + (f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else "")


# Recipients and delivery


def is_for(message: StoredMessage, agent: str, *, joined: int = 0) -> bool:
    """Return whether the message is for `agent`.

    A message to all is not for agents that `joined` after its position.
    """
    key = agent.casefold()
    if not message.to:
        return message.author.casefold() != key and message.position > joined
    return key in message.to


def is_read(state: State, message: StoredMessage, agent: str) -> bool:
    key = agent.casefold()
    return state.marks.get(key, 0) >= message.position or key in message.read


def is_over(message: StoredMessage, ctx: Context) -> bool:
    return message.expires_s is not None and ctx.age_s(message.at, message.position) > message.expires_s


def recipients(ctx: Context, message: StoredMessage) -> list[str]:
    """Return the recipients' ids; for a broadcast, the members at that time that have not left since."""
    if message.to:
        return [*message.to.values()]
    return [
        one.id
        for one in ctx.fleet.members.by_id.values()
        if not one.left and is_for(message, one.id, joined=one.joined)
    ]


def receipt(ctx: Context, message: StoredMessage, agent: str) -> str:
    """Return the delivery to one recipient: acknowledged, read, delivered (its node folded it) or sent."""
    if agent.casefold() in message.acknowledged:
        return "acknowledged"
    if is_read(ctx.state("messages"), message, agent):
        return "read"
    seen = ctx.liveness.get(agent.casefold())
    return "delivered" if seen is not None and seen.position >= message.position else "sent"


def request(message: StoredMessage) -> str | None:
    """Return the status of a request: waiting, answered or lapsed; None for anything else."""
    if message.request_s is None:
        return None
    return "answered" if message.answer else "lapsed" if message.lapsed else "waiting"
