"""Events about messages: what is sent, and what its readers report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, Field

from gitcoord.core import times
from gitcoord.core.fields import Count, Json, Payload, Uid
from gitcoord.core.fold.authority import GUEST, LEADER, Who
from gitcoord.features.typed import Capability, Priority

IDS_MAX = 1000  # named as read by one event


class Message(Payload):
    """The content, to the agents in `to`; without any, to all. `request_s`: an answer is wanted within so long."""

    CONVERSATION: ClassVar[bool] = True

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
