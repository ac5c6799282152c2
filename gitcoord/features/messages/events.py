"""Events about messages: the message itself, receipts of its readers, and a request that got no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, Field

from gitcoord.core import times
from gitcoord.core.fields import Count, Json, Payload, Uid
from gitcoord.core.fold.authority import GUEST, LEADER, Who
from gitcoord.features.typed import Capability, Priority

IDS_MAX = 1000  # messages that one event may name


class Message(Payload):
    """The content is for the agents in `to`; for all if `to` is empty. `request_s`: the time limit for an answer."""

    CONVERSATION: ClassVar[bool] = True

    priority: Priority = "MEDIUM"
    capability: Capability | None = None
    expires_s: float | None = Field(None, gt=0, le=times.SPAN_S_MAX)
    request_s: float | None = Field(None, gt=0, le=times.SPAN_S_MAX)
    payload: Json = Field(default_factory=dict)


class MessagesRead(Payload):
    """The author has read its messages up to the position `upto`, and those in `ids`."""

    upto: Count = 0
    ids: list[Uid] = Field([], max_length=IDS_MAX)


class MessagesAcknowledged(Payload):
    """The author acknowledges these messages. They are not in `re`: a receipt is not part of the conversation."""

    ids: list[Uid] = Field(min_length=1, max_length=IDS_MAX)


class RequestLapsed(Payload):
    """The request that the event's `re` names got no answer in time."""

    CONVERSATION: ClassVar[bool] = True


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
