"""Events about autonomy: admins set its level, the leader proposes, members approve or reject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gitcoord.core import limits
from gitcoord.core.fields import NAMED, Agent, Content, EventType, Json, Payload, Reason, Uid
from gitcoord.core.fold.authority import ADMIN, APPROVER, LEADER, Who

Level = Literal["full", "supervised", "manual"]
Approvers = Literal["members", "admins"]
Key = Annotated[str, Field(max_length=300), NAMED]


class AutonomyChanged(Payload):
    """From here on the leader decides by itself up to this level. Null `approvers`: unchanged."""

    level: Level
    approvers: Approvers | None = None


class ProposedEvent(Payload):
    """The event that the leader would write."""

    type: EventType
    content: Content
    data: Json = {}
    to: list[Agent] = Field([], max_length=limits.AGENTS_PER_EVENT_MAX)
    re: Uid | None = None


class ProposalMade(Payload):
    """The leader proposes this event. `occasion`: the key of the duty; `round`: how many proposals were made for it."""

    kind: Annotated[str, Field(max_length=64), NAMED]
    occasion: Key
    round: int = Field(1, ge=1, le=1_000_000)
    event: ProposedEvent


class ProposalApproved(Payload):
    """The proposal that the event's `re` names is approved."""


class ProposalRejected(Payload):
    """The proposal that the event's `re` names is rejected: it is never done."""

    why: Reason = ""


class ProposalLapsed(Payload):
    """The proposal got no answer in a day, or it was approved and is not needed any more."""


EVENTS: Mapping[str, type[BaseModel]] = {
    "autonomy_changed": AutonomyChanged,
    "proposal_made": ProposalMade,
    "proposal_approved": ProposalApproved,
    "proposal_rejected": ProposalRejected,
    "proposal_lapsed": ProposalLapsed,
}
AUTHORITY: Mapping[str, Who] = {
    "autonomy_changed": ADMIN,
    "proposal_made": LEADER,
    "proposal_approved": APPROVER,
    "proposal_rejected": APPROVER,
    "proposal_lapsed": LEADER,
}
