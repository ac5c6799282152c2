"""Events about directives: members issue and answer them; the leader follows the plan when an agent fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from gitcoord.core import times
from gitcoord.core.fields import NAMED, Agent, Payload, Reason, check_agent
from gitcoord.core.fold.authority import ADMIN, ASSIGNEE, LEADER, MEMBER, OWNER, Who
from gitcoord.features.typed import Capability, Priority

AGENTS_MAX = 1000  # per directive
TEXT_KEPT = 200  # characters, for lists and plans; the ledger has the whole text


class ContingencyPlan(Payload):
    """The plan if an agent fails: create a task of that title, give the order to another one, or inform the issuer."""

    kind: Literal["task", "agent", "escalate"]
    text: Annotated[str, Field(max_length=TEXT_KEPT), NAMED] = ""

    @model_validator(mode="after")
    def _fits(self) -> ContingencyPlan:
        """Raise ValueError if the leader cannot follow the plan."""
        if self.kind == "agent":
            check_agent(self.text)
        elif (self.kind == "task") != bool(self.text.strip()):
            raise ValueError("a task needs a title, and an escalation has none")
        return self


class DirectiveIssued(Payload):
    """The content is the order. The agents in `acknowledge` must acknowledge it, within `ack_s` if that is given."""

    CONVERSATION: ClassVar[bool] = True

    agents: list[Agent] = Field(min_length=1, max_length=AGENTS_MAX)
    capability: Capability | None = None
    priority: Priority = "MEDIUM"
    acknowledge: list[Agent] = Field([], max_length=AGENTS_MAX)
    ack_s: float | None = Field(None, gt=0, le=times.SPAN_S_MAX)
    plan: ContingencyPlan | None = None


class DirectiveAcknowledged(Payload):
    """The author has received the directive."""


class DirectiveDone(Payload):
    """The author has done its part of the directive."""

    CONVERSATION: ClassVar[bool] = True

    result: Reason = ""


class DirectiveFailed(Payload):
    """The author cannot do its part of the directive."""

    CONVERSATION: ClassVar[bool] = True

    reason: Reason = ""


class DirectiveWithdrawn(Payload):
    """The issuer, or an admin, has withdrawn the directive."""

    CONVERSATION: ClassVar[bool] = True

    reason: Reason = ""


class DirectiveReassigned(Payload):
    """The leader gives the failed part to another agent, as planned."""

    agent: Agent
    instead_of: Agent


class DirectiveEscalated(Payload):
    """An agent failed and no agent replaces it: the leader informs the issuer."""

    CONVERSATION: ClassVar[bool] = True

    agent: Agent


EVENTS: Mapping[str, type[BaseModel]] = {
    "directive_issued": DirectiveIssued,
    "directive_acknowledged": DirectiveAcknowledged,
    "directive_done": DirectiveDone,
    "directive_failed": DirectiveFailed,
    "directive_withdrawn": DirectiveWithdrawn,
    "directive_reassigned": DirectiveReassigned,
    "directive_escalated": DirectiveEscalated,
}
AUTHORITY: Mapping[str, Who] = {
    "directive_issued": MEMBER,
    "directive_acknowledged": ASSIGNEE,
    "directive_done": ASSIGNEE,
    "directive_failed": ASSIGNEE,
    "directive_withdrawn": OWNER | ADMIN,
    "directive_reassigned": LEADER,
    "directive_escalated": LEADER,
}
