"""What is read of messages: an inbox, what was said, and how far a message got with each recipient."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gitcoord.core import limits, times
from gitcoord.core.commands import Arguments, Look
from gitcoord.core.errors import Refused
from gitcoord.core.format.event import parse
from gitcoord.core.fields import Given
from gitcoord.core.lookup import find
from gitcoord.features import conversation
from gitcoord.features.messages import post
from gitcoord.features.messages.post import Said
from gitcoord.features.typed import PRIORITIES, AgentGiven, AnyCase


class Show(Arguments):
    message: Given = Field(description="The beginning of its id, or its position")


class Filters(Arguments):
    by: AgentGiven | None = Field(None, alias="from", description="Only from this agent")
    priority: AnyCase | None = Field(None, description="Only these, and what is more urgent")
    interaction: int | None = Field(None, ge=0, le=limits.INTERACTION_MAX, description="Only of this conversation")


class Inbox(Filters):
    all: bool = Field(False, description="Also what was read or is past its time")
    order: Literal["ledger", "priority"] = Field("ledger", description="As it was said, or the most urgent first")


class List(Filters):
    to: AgentGiven | None = Field(None, description="Only what is for this agent")
    waiting: bool = Field(False, description="Only requests without an answer")
    all: bool = Field(False, description="Also what others said to each other")


def named(look: Look, text: str) -> Said:
    said: dict[str, Said] = look.state("messages").said
    return said[find(look, said, text, "message", shown_by="message list")]


def mine(look: Look) -> list[Said]:
    """What is for him who looks, since he joined, as it was said."""
    known = look.fleet.members.get(look.actor)
    if known is None:
        raise Refused("whose messages? Say who you are with --as or GITCOORD_AGENT")
    return [one for one in look.state("messages").said.values()
            if post.is_for(one, known.id, joined=known.joined)]


def inbox(look: Look, asked: Inbox) -> list[dict[str, Any]]:
    state = look.state("messages")
    rows = [
        shown(look, one) for one in mine(look)
        if (asked.all or not (post.is_read(state, one, look.actor) or post.is_over(one, look)))
        and _fits(look, one, asked)
    ]
    if asked.order == "priority":
        rows.sort(key=lambda row: PRIORITIES.index(row["priority"]))
    return rows


def list_(look: Look, asked: List) -> list[dict[str, Any]]:
    return [
        shown(look, one) for one in look.state("messages").said.values()
        if (asked.all or one.author == look.actor or post.is_for(one, look.actor))
        and (asked.to is None or post.is_for(one, asked.to))
        and (not asked.waiting or post.request(one) == "waiting")
        and _fits(look, one, asked)
    ]


def _fits(look: Look, one: Said, asked: Filters) -> bool:
    return (
        (asked.by is None or one.author.casefold() == asked.by.casefold())
        and (asked.priority is None or PRIORITIES.index(one.priority) <= PRIORITIES.index(asked.priority))
        and (asked.interaction is None or _interaction(look, one) == asked.interaction)
    )


def _interaction(look: Look, one: Said) -> int | None:
    return conversation.number_of(look.state("conversation"), one.position)


def shown(look: Look, one: Said) -> dict[str, Any]:
    event = parse(look.read(one.position)) if look.read is not None else None
    payload = event.data.get("payload") if event is not None else None
    return {
        "id": one.id, "position": one.position, "interaction": _interaction(look, one), "from": one.author,
        "to": [*one.to.values()] or "all", "type": one.type, "priority": one.priority,
        "text": event.content if event else "",
        "data": payload if isinstance(payload, dict) else {}, "re": one.re, "at": one.at,
        "expires": None if one.expires_s is None else times.later(one.at, one.expires_s),
        "answer_by": None if one.request_s is None else times.later(one.at, one.request_s),
        "request": post.request(one),
    }


def show(look: Look, asked: Show) -> dict[str, Any]:
    one = named(look, asked.message)
    receipts = {agent: post.receipt(look, one, agent) for agent in post.recipients(look, one)}
    answers = [other.id for other in look.state("messages").said.values() if other.re == one.id]
    return {**shown(look, one), "capability": one.capability, "receipts": receipts, "answers": answers}
