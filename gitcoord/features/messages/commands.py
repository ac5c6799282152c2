"""Commands about messages: send, reply, acknowledge and mark as read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from gitcoord.core import limits
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Content, Given, Span
from gitcoord.core.lookup import member
from gitcoord.core.names import IDS_SHOWN_MAX, told_apart
from gitcoord.core.text import count
from gitcoord.features import typed
from gitcoord.features.messages import queries
from gitcoord.features.messages import state as message_state
from gitcoord.features.messages.events import IDS_MAX
from gitcoord.features.recovery import circuits
from gitcoord.features.typed import Agents, AnyCase, CapabilityGiven, JsonObject, small

WITHIN_S = 600.0  # for an answer: a working agent reads its inbox every few minutes


class BroadcastMessage(Arguments):
    text: Content = Field(min_length=1, description="The text; - reads standard input")
    priority: AnyCase = Field("MEDIUM", description="The priority")
    expires_s: Span | None = Field(None, alias="expires", description="When the message expires, as a span")
    data: JsonObject = Field({}, description="A JSON object to attach")


class SendMessage(BroadcastMessage):
    to: Agents = Field([], description="A recipient")
    capability: CapabilityGiven | None = Field(None, description="Address all agents with this capability")


class SendRequest(SendMessage):
    within_s: Span = Field(WITHIN_S, alias="within", description="How long to wait for an answer")


class ReplyToMessage(Arguments):
    message: Given = Field(description="Message or event id, its beginning, or its event's position")
    text: Content = Field(min_length=1, description="The text; - reads standard input")
    priority: AnyCase = Field("MEDIUM", description="The priority")
    data: JsonObject = Field({}, description="A JSON object to attach")


class AcknowledgeMessages(Arguments):
    messages: typed.Ids = Field([], description="Message ids or positions")


class MarkRead(Arguments):
    messages: list[Given] = Field(
        [], max_length=IDS_MAX, description="Message ids or positions (default: all in the inbox)"
    )


def _send(ctx: Context, args: SendMessage) -> list[NewEvent]:
    to = _recipients(ctx, args)
    if not to:
        raise Refused(
            "no recipient: name agents with --to, or a --capability; `gitcoord message broadcast` addresses all"
        )
    return _new_events(ctx, args, to, {"capability": args.capability} if args.capability else {})


def _broadcast(ctx: Context, args: BroadcastMessage) -> list[NewEvent]:
    return _new_events(ctx, args, [], {})


def _request(ctx: Context, args: SendRequest) -> list[NewEvent]:
    to = _recipients(ctx, args)
    if not to or len(to) > limits.AGENTS_PER_EVENT_MAX:
        most = limits.AGENTS_PER_EVENT_MAX
        raise Refused(f"a request is for 1 to {most} agents, not {len(to)}: name them with --to, or a --capability")
    named = [member(ctx, text) for text in args.to]
    reasons = {one: reason for one in to if (reason := circuits.why_not_ask(ctx, one)) is not None}
    to = [one for one in to if one in named or one not in reasons]  # a failing agent is an error only if it was named
    if reasons and (not to or any(one in reasons for one in to)):
        raise Refused(f"{next(iter(reasons.values()))}: `gitcoord recovery circuits` lists failing agents")
    more = {"capability": args.capability} if args.capability else {}
    return _new_events(ctx, args, to, {**more, "request_s": args.within_s})


def _recipients(ctx: Context, args: SendMessage) -> list[str]:
    """Return the named agents and those with the capability, without the author."""
    to = [_recipient(ctx, text) for text in args.to]
    if args.capability is not None:
        wanted = small(args.capability.strip())
        capable = [
            one.id for one in ctx.state("agents").agents.values() if wanted in one.capabilities and one.id != ctx.actor
        ]
        if not capable:
            raise Refused(f"no other agent has the capability {wanted!r}: `gitcoord agent list` lists capabilities")
        to += capable
    return list(dict.fromkeys(to))


def _recipient(ctx: Context, text: str) -> str:
    found = member(ctx, text)
    known = ctx.fleet.members.get(found)
    if known is not None and known.left:
        raise Refused(f"{found} has left the fleet: `gitcoord agent list` lists the members")
    return found


def _new_events(ctx: Context, args: BroadcastMessage, to: Sequence[str], more: Mapping[str, Any]) -> list[NewEvent]:
    """Return one event for each AGENTS_PER_EVENT_MAX recipients; one event for all agents if `to` is empty."""
    data: dict[str, Any] = {"priority": args.priority, **more}
    if args.expires_s is not None:
        data["expires_s"] = args.expires_s
    if args.data:
        data["payload"] = args.data
    size = limits.AGENTS_PER_EVENT_MAX
    parts = [tuple(to[at : at + size]) for at in range(0, len(to), size)] or [()]
    return [NewEvent("message", args.text, data, to=part) for part in parts]


def _reply(ctx: Context, args: ReplyToMessage) -> list[NewEvent]:
    one = queries.named(ctx, args.message)
    # A reply to the actor's own message goes to the same recipients.
    others = [*one.to.values()] if one.author == ctx.actor else [one.author]
    data: dict[str, Any] = {"priority": args.priority}
    if args.data:
        data["payload"] = args.data
    return [NewEvent("message", args.text, data, to=tuple(others), re=one.id)]


def _acknowledge(ctx: Context, args: AcknowledgeMessages) -> list[NewEvent]:
    if not args.messages:
        raise Refused(_what_to_acknowledge(ctx))
    chosen = [queries.named(ctx, text) for text in args.messages]
    for one in chosen:
        if not message_state.is_for(one, ctx.actor):
            raise Refused(f"message {one.id[:8]} is not for {ctx.actor}: `gitcoord inbox` lists your messages")
    ids = [one.id for one in chosen if ctx.actor.casefold() not in one.acknowledged]
    words = f"{ctx.actor} acknowledges {', '.join(uid[:8] for uid in ids[:5])}"
    return [NewEvent("messages_acknowledged", words, {"ids": ids})] if ids else []


def _what_to_acknowledge(ctx: Context) -> str:
    """Return the error for a command that names no message."""
    waiting = [
        one
        for one in queries.mine(ctx)
        if ctx.actor.casefold() not in one.acknowledged and not message_state.is_over(one, ctx)
    ]
    if not waiting:
        return "no message waits for your acknowledgement: `gitcoord inbox --all` lists your messages"
    ids = " ".join(told_apart(one.id for one in waiting[-IDS_SHOWN_MAX:]))
    return f"name a message: `gitcoord message ack {ids}` acknowledges all that wait; `gitcoord inbox --all` lists them"


def _read(ctx: Context, args: MarkRead) -> list[NewEvent]:
    unread = [one for one in queries.mine(ctx) if not message_state.is_read(ctx.state("messages"), one, ctx.actor)]
    if args.messages:
        ids = [queries.named(ctx, text).id for text in args.messages]
        chosen = [one for one in unread if one.id in ids]
        data: dict[str, Any] = {"ids": [one.id for one in chosen]}
    else:
        chosen = unread
        data = {"upto": chosen[-1].position} if chosen else {}
    if not chosen:
        return []
    return [NewEvent("messages_read", f"{ctx.actor} has read {count(len(chosen), 'message')}", data)]


def _answer(ctx: Context, uid: str) -> dict[str, Any]:
    return {"message": queries.to_row(ctx, ctx.state("messages").messages[uid])}


COLUMNS = ("id", "at", "from", "to", "priority", "text", "request")

COMMANDS: Mapping[str, Command | Query] = {
    "message send": Command(
        help="Send a message to agents, or to all with a capability",
        example="gitcoord message send 'The parser is yours' --to bob --priority high",
        arguments=SendMessage,
        decide=_send,
        positional=("text",),
        answer=_answer,
        judged=False,
        tool="message_send",
    ),
    "message broadcast": Command(
        help="Send a message to all agents",
        example="gitcoord message broadcast 'Release at noon' --expires 4h",
        arguments=BroadcastMessage,
        decide=_broadcast,
        positional=("text",),
        answer=_answer,
        judged=False,
        tool="message_send",
    ),
    "message request": Command(
        help="Send a request; report if no answer arrives in time",
        example="gitcoord message request 'Which schema has the API?' --to bob --within 10m",
        arguments=SendRequest,
        decide=_request,
        positional=("text",),
        answer=_answer,
        judged=False,
        urgent=True,
        tool="message_send",
    ),
    "message reply": Command(
        help="Reply to a message or an event, in its conversation",
        before=("gitcoord append question 'Who takes the parser?' --to bob --wait sequenced",),
        example="gitcoord message reply 3 'I do'",
        arguments=ReplyToMessage,
        decide=_reply,
        positional=("message", "text"),
        answer=_answer,
        judged=False,
        tool="message_send",
    ),
    "message ack": Command(
        help="Acknowledge messages to their authors",
        arguments=AcknowledgeMessages,
        decide=_acknowledge,
        before=("gitcoord append question 'Who takes the parser?' --to bob --wait sequenced",),
        example="gitcoord message ack 3 --as bob",
        positional=("messages",),
        idempotent=True,
        tool="message_send",
    ),
    "message read": Command(
        help="Mark messages as read; the inbox omits them",
        example="gitcoord message read",
        arguments=MarkRead,
        decide=_read,
        positional=("messages",),
        judged=False,
        idempotent=True,
        tool="message_send",
    ),
    "message list": Query(
        help="List messages from you and to you",
        example="gitcoord message list --waiting",
        arguments=queries.ListMessages,
        ask=queries.list_,
        columns=COLUMNS,
        tool="message_show",
    ),
    "message show": Query(
        help="Show a message and its delivery to each recipient",
        arguments=queries.ShowMessage,
        ask=queries.show,
        before=("gitcoord message broadcast 'Release at noon'",),
        example="gitcoord message show 3",
        positional=("message",),
        tool="message_show",
    ),
    "inbox": Query(
        help="List your unread messages, oldest first",
        example="gitcoord inbox",
        arguments=queries.ShowInbox,
        ask=queries.inbox,
        columns=COLUMNS,
        tool="message_show",
    ),
}
