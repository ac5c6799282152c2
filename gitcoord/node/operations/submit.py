"""Commands of features: a command goes into the queue and is judged by the ledger; a query is answered from the
fold."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import filelock
from pydantic import BaseModel, ValidationError

from gitcoord.core import rights
from gitcoord.core.commands import Answer, Command, Context, NewEvent, Query
from gitcoord.core.errors import GitcoordError, Lost, NoEffect, Refused
from gitcoord.core.fields import typed
from gitcoord.core.format.event import Draft, Event
from gitcoord.features import FEATURES, LISTED
from gitcoord.node import delivery, peers
from gitcoord.node.clock import utc_now
from gitcoord.node.operations import places
from gitcoord.store.git import repo_location

if TYPE_CHECKING:
    from gitcoord.node.node import Node

T = TypeVar("T")

TIMEOUT_S = 60.0  # until the event is sequenced and judged
BUSY_S = 5.0  # while another process of this node does a round


class _HasArguments(Protocol):
    """A command, a query, or anything else that takes arguments."""

    @property
    def arguments(self) -> type[BaseModel]: ...


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: its events, their level and position, and the feature's answer."""

    events: tuple[Event, ...]
    level: str
    position: int | None
    answer: Answer
    trouble: GitcoordError | None = None  # why the events are not sequenced yet, if the command may end without that


def named(name: str) -> Command | Query:
    """Return the command or query that people type as `name`, such as `task claim`. Raise Refused if there is none."""
    word = name.split(" ")[0]
    for feature, words in LISTED.items():
        if word in words and name in FEATURES[feature].COMMANDS:
            return FEATURES[feature].COMMANDS[name]
    raise Refused(f"no command {name!r}: `gitcoord --help` lists the commands")


def context(node: Node, actor: str) -> Context:
    """Return the context in which `actor` acts: this node's fold, the time, and what this node knows of the others."""
    fleet = node.fleet
    member = fleet.members.get(actor)
    return Context(
        fleet,
        utc_now(),
        member.id if member else actor,
        node.disk.node,
        node.place,
        peers.agent_liveness(node),
        node.replica.branch.line_at(),
        branch=lambda: repo_location.branch_at(node.worktree),
        seen_s=node.replica.seen_s,
        head_of=lambda repo, pr: _head_of(node, repo, pr),
        located=node.located,
        has_branch=lambda name: repo_location.has_branch(node.home.path.parent, name),
        pending=node.disk.pending,
    )


def _head_of(node: Node, repo: str, pr: int) -> str:
    """Return the commit of a pull request as the fleet's remote shows it now, if it is a forge that does."""
    if not repo:
        with contextlib.suppress(GitcoordError):
            return node.store.look_up(f"refs/pull/{pr}/head") or ""
    return ""


def arguments(what: _HasArguments, raw_args: Mapping[str, Any]) -> BaseModel:
    """Return the checked arguments. Raise Refused, naming the argument and what is wrong with it."""
    try:
        return what.arguments.model_validate(dict(raw_args))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        name = " ".join(str(part) for part in first["loc"][:1]) or "the arguments"
        words = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        raise Refused(f"{name}: {'must not be empty' if first['type'] == 'string_too_short' else words}") from None


def ask(
    node: Node, query: Query, raw_args: Mapping[str, Any], *, actor: str, again: bool = True
) -> Sequence[Answer] | Answer:
    """Return the query's answer from this node's fold. With `again`, sync once before a refusal. Raise Refused."""
    args = arguments(query, raw_args)
    if not again:
        return query.ask(context(node, actor), args)
    return judge_with_sync(node, lambda: query.ask(context(node, actor), args))


def beside(node: Node, query: Query, raw_args: Mapping[str, Any], *, actor: str) -> Answer:
    """Return what the query answers beside its rows, from this node's fold; {} if it has nothing to add."""
    return query.beside(context(node, actor), arguments(query, raw_args)) if query.beside is not None else {}


def propose(
    node: Node, command: Command, raw_args: Mapping[str, Any], *, actor: str, takeover: bool = False
) -> Sequence[NewEvent]:
    """Return the events that the command would write. Raise Refused, or Lost if somebody else is known to be first.

    `takeover`: the command may bind the agent although a session of it lives in another place.
    """
    args = arguments(command, raw_args)

    def judged() -> Sequence[NewEvent]:
        proposals = command.decide(context(node, actor), args)
        for one in proposals:
            try:
                typed(node.fleet.types.model_of(one.type), one.content, one.data)
            except ValueError as wrong:  # the ledger would void it, for every node and for the same reason
                raise Refused(str(wrong)) from None
            check_right(node, actor, one.type, re=one.re, data=one.data)
        if proposals and command.binds and not takeover:
            places.check(node, actor)
        return proposals

    return judge_with_sync(node, judged)


def check_right(node: Node, actor: str, type_: str, *, re: str | None, data: Mapping[str, Any]) -> None:
    """Raise Refused if the ledger shows that `actor` may not write such an event. The fold is the judge."""
    reason = rights.why_not(node.fleet, type_, actor=actor, re=re, data=data)
    if reason is not None:
        raise Refused(f"{reason}: `gitcoord agent roles` lists the roles")


def drafted(node: Node, proposals: Sequence[NewEvent], actor: str) -> list[Draft]:
    """Return the events that `actor` would write. Raise Refused if one looks like a credential."""
    return node.drafted(proposals, actor=actor)


def judge_with_sync(node: Node, judge: Callable[[], T]) -> T:
    """Return what `judge` returns. Sync once before reporting a refusal: the local state may be stale."""
    try:
        return judge()
    except (Refused, Lost):
        position = node.fleet.position
        with contextlib.suppress(GitcoordError):  # an outage
            _sync_once(node)
        if node.fleet.position == position:
            raise
    return judge()


def _sync_once(node: Node) -> None:
    until_s = time.monotonic() + BUSY_S
    while time.monotonic() < until_s:
        try:
            node.sync(tick=False, lock_timeout_s=0)
            return
        except filelock.Timeout:  # the round of another process may have fetched before the news came
            node.pause(0.05)


def act(
    node: Node,
    command: Command,
    raw_args: Mapping[str, Any],
    *,
    actor: str,
    timeout_s: float = TIMEOUT_S,
    takeover: bool = False,
) -> CommandResult:
    """Write the command's events, wait until the ledger has judged them, and return the result.

    Raise Refused; NoEffect (a Lost) if an event has no effect, for instance if somebody else was first (a command with
    `tries` is retried before that); NotConfirmed if the events are not sequenced within `timeout_s` (they stay queued).
    """
    for left in reversed(range(command.tries)):
        try:
            result = _act_once(node, command, raw_args, actor=actor, timeout_s=timeout_s, takeover=takeover)
            break
        except Lost:
            if not left:
                raise
    if command.shows is None:
        return result
    shown = command.shows(context(node, actor), arguments(command, raw_args))
    return replace(result, answer={**result.answer, **shown})


def _act_once(
    node: Node, command: Command, raw_args: Mapping[str, Any], *, actor: str, timeout_s: float, takeover: bool
) -> CommandResult:
    drafts = drafted(node, propose(node, command, raw_args, actor=actor, takeover=takeover), actor)
    if not drafts:
        return CommandResult((), "sequenced", None, {})
    events = tuple(node.append(*drafts))
    try:
        level, position = node.confirm(
            events[-1], "sequenced", timeout_s=timeout_s, urgent=command.urgent, rounds=None if command.judged else 1
        )
    except NoEffect:  # the first event without effect is reported below
        level, position = "sequenced", None
    except GitcoordError as wrong:  # an event whose judgement nobody waits for is done once it is on this disk
        if command.judged:
            raise
        return CommandResult(events, node.level(events[-1])[0], None, {}, wrong)
    fleet = node.fleet
    for event in events:
        reason = why_without_effect(node, event)
        if reason is not None:
            raise NoEffect(f"{event.content[: delivery.CONTENT_CHARS_SHOWN]!r} has no effect: {reason}")
    subject = events[0].re if command.answers_thread else events[0].uid
    answer = command.answer(context(node, actor), subject) if command.answer and subject else {}
    return CommandResult(events, level, fleet.positions.get(events[0].uid, position), answer)


def check_data(node: Node, draft: Draft) -> None:
    """Raise Refused if the ledger would void the event for its data, whatever the state."""
    try:
        typed(node.fleet.types.model_of(draft.type), draft.content, draft.data)
    except ValueError as wrong:
        raise Refused(f"{draft.type}: {wrong}") from None


def why_without_effect(node: Node, event: Event) -> str | None:
    """Return why a sequenced event changed nothing; None if it had an effect."""
    return node.fleet.why_without_effect(event)
