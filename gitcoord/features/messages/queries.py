"""Queries about messages: the inbox, the list, and the delivery of one message to each recipient."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gitcoord.core import limits, times
from gitcoord.core.commands import Arguments, Context
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Given
from gitcoord.core.format.event import parse
from gitcoord.core.lookup import find
from gitcoord.features import conversation
from gitcoord.features.messages import state as message_state
from gitcoord.features.messages.state import StoredMessage, is_for, is_over, is_read
from gitcoord.features.tasks.state import ASSIGNED
from gitcoord.features.typed import PRIORITIES, AgentGiven, AnyCase


class ShowMessage(Arguments):
    message: Given = Field(description="Message id, its beginning, or its event's position")


class MessageFilters(Arguments):
    by: AgentGiven | None = Field(None, alias="from", description="Only messages from this agent")
    priority: AnyCase | None = Field(None, description="Only messages of this priority or higher")
    interaction: int | None = Field(
        None, ge=0, le=limits.INTERACTION_MAX, description="Only messages of this conversation"
    )


class ShowInbox(MessageFilters):
    all: bool = Field(False, description="Include read and expired messages")
    order: Literal["ledger", "priority"] = Field("ledger", description="Oldest first, or most urgent first")


class ListMessages(MessageFilters):
    to: AgentGiven | None = Field(None, description="Only messages to this agent")
    waiting: bool = Field(False, description="Only requests without an answer")
    all: bool = Field(False, description="Include messages between other agents")


def named(ctx: Context, text: str) -> StoredMessage:
    """Return the message that `text` names: its id, the id's beginning, or its position. Raise Refused."""
    messages: dict[str, StoredMessage] = ctx.state("messages").messages
    return messages[find(ctx, messages, text, "message", shown_by="message list")]


def mine(ctx: Context) -> list[StoredMessage]:
    """Return the messages to `ctx.actor` since it joined, oldest first. Raise Refused if it is not a member."""
    known = ctx.fleet.members.get(ctx.actor)
    if known is None:
        raise Refused("no agent is named: name your agent with --as or GITCOORD_AGENT")
    return [one for one in ctx.state("messages").messages.values() if is_for(one, known.id, joined=known.joined)]


def inbox(ctx: Context, args: ShowInbox) -> list[dict[str, Any]]:
    state = ctx.state("messages")
    rows = [
        to_row(ctx, one)
        for one in mine(ctx)
        if (args.all or not (is_read(state, one, ctx.actor) or is_over(one, ctx))) and _fits(ctx, one, args)
    ]
    if args.interaction is None:
        rows += [row for row in _assigned(ctx) if _is_wanted(row["from"], row["priority"], args)]
    if args.order == "priority":
        rows.sort(key=lambda row: PRIORITIES.index(row["priority"]))
    return rows


def _assigned(ctx: Context) -> list[dict[str, Any]]:
    """Return the tasks that were assigned to `ctx.actor`, which has not accepted them, as rows of the inbox."""
    tasks = ctx.state("tasks")
    held = [tasks.tasks[uid] for uid in tasks.held.get(ctx.actor.casefold(), ())]
    return [
        {
            "id": task.id,
            "position": task.last.position,
            "interaction": None,
            "from": task.created_by,
            "to": [task.last.agent],
            "type": "task_assigned",
            "priority": task.priority,
            "text": f"assigned to you: {task.title} (`gitcoord task claim {task.id[:8]}` accepts it)",
            "data": {},
            "re": task.id,
            "at": task.last.since,
            "expires": None,
            "answer_by": None,
            "request": None,
        }
        for task in held
        if task.status == ASSIGNED
    ]


def list_(ctx: Context, args: ListMessages) -> list[dict[str, Any]]:
    return [
        to_row(ctx, one)
        for one in ctx.state("messages").messages.values()
        if (args.all or one.author == ctx.actor or is_for(one, ctx.actor))
        and (args.to is None or is_for(one, args.to))
        and (not args.waiting or message_state.request(one) == "waiting")
        and _fits(ctx, one, args)
    ]


def _fits(ctx: Context, one: StoredMessage, args: MessageFilters) -> bool:
    in_it = args.interaction is None or _interaction(ctx, one) == args.interaction
    return in_it and _is_wanted(one.author, one.priority, args)


def _is_wanted(author: str, priority: str, args: MessageFilters) -> bool:
    return (args.by is None or author.casefold() == args.by.casefold()) and (
        args.priority is None or PRIORITIES.index(priority) <= PRIORITIES.index(args.priority)
    )


def _interaction(ctx: Context, one: StoredMessage) -> int | None:
    return conversation.number_of(ctx.state("conversation"), one.position)


def to_row(ctx: Context, one: StoredMessage) -> dict[str, Any]:
    event = parse(ctx.read(one.position)) if ctx.read is not None else None
    payload = event.data.get("payload") if event is not None else None
    return {
        "id": one.id,
        "position": one.position,
        "interaction": _interaction(ctx, one),
        "from": one.author,
        "to": [*one.to.values()] or "all",
        "type": one.type,
        "priority": one.priority,
        "text": event.content if event else "",
        "data": payload if isinstance(payload, dict) else {},
        "re": one.re,
        "at": one.at,
        "expires": None if one.expires_s is None else times.later(one.at, one.expires_s),
        "answer_by": None if one.request_s is None else times.later(one.at, one.request_s),
        "request": message_state.request(one),
    }


def show(ctx: Context, args: ShowMessage) -> dict[str, Any]:
    one = named(ctx, args.message)
    receipts = {agent: message_state.receipt(ctx, one, agent) for agent in message_state.recipients(ctx, one)}
    answers = [other.id for other in ctx.state("messages").messages.values() if other.re == one.id]
    return {**to_row(ctx, one), "capability": one.capability, "receipts": receipts, "answers": answers}
