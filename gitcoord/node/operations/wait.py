"""Waiting for a condition: by this node's own rounds, or beside those of an `agent run`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import filelock

from gitcoord.core.errors import Corrupt, GitcoordError, Lost, NotConfirmed, Unreachable
from gitcoord.core.names import event_type
from gitcoord.features.conditions import ConditionStatus, condition
from gitcoord.node.operations import submit

if TYPE_CHECKING:
    from gitcoord.node.node import Node

CHECK_S = 0.05  # between two checks of the condition

_Check = Callable[[], ConditionStatus]


def wait_for(node: Node, text: str, *, actor: str, timeout_s: float) -> str:
    """Wait until the condition `text` is met, and return a description of its state.

    Raise Refused if `text` is no condition; GitcoordError if it can never be met; NotConfirmed if it is not met within
    `timeout_s`; BadCredentials and Denied if the remote refuses access.
    """
    check: _Check | None = None
    status = ConditionStatus(False, "")
    for _ in _polls(node, time.monotonic() + timeout_s):
        check = check or _check_of(node, text, actor)  # after the first round: the object of the condition may be new
        status = check()
        if status.met:
            return status.words
        if status.never:
            raise GitcoordError(f"{text!r} can never be met: {status.words}")
    raise NotConfirmed(f"{text!r} was not met within {timeout_s:.1f} s: {status.words}")


def _check_of(node: Node, text: str, actor: str) -> _Check:
    words = text.split()
    if words[:1] == ["event"] and len(words) == 2:
        return _event(node, event_type(words[1]))
    wanted = condition(submit.context(node, actor), text)
    return lambda: wanted(submit.context(node, actor))


def _event(node: Node, type_: str) -> _Check:
    """Return a check for the next event of a type that is sequenced and has an effect."""
    read = node.fleet.position

    def status() -> ConditionStatus:
        nonlocal read
        for position, event in node.events(read):
            read = position
            if event.type == type_ and event.uid in node.fleet.positions:
                return ConditionStatus(True, f"{type_} {event.uid[:8]} of {event.actor} is at position {position}")
        return ConditionStatus(False, f"no new {type_} up to position {read}")

    return status


def _polls(node: Node, deadline_s: float) -> Iterator[None]:
    """Yield now, and again whenever there may be news, until the time is up; at least once."""
    due_s = 0.0
    while True:
        if time.monotonic() >= due_s and not node.home.running():
            # An outage, another fleet's ledger on the remote, or others are busy: go on.
            with contextlib.suppress(Unreachable, Corrupt, Lost, filelock.Timeout):
                node.sync(lock_timeout_s=0)
            due_s = time.monotonic() + node.profile.poll_s
        yield
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return
        node.pause(min(CHECK_S, left_s))
