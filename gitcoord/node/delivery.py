"""Delivery: how far an event of this node got. The process that syncs records it for the node's other processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import filelock

from gitcoord.core.errors import GitcoordError, Lost, NoEffect, NotConfirmed, Unreachable
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Event, Head, parse
from gitcoord.core.format.raw_line import may_be_of_node
from gitcoord.core.round.replica import Replica
from gitcoord.core.round.results import Report
from gitcoord.node import peers, push_budget
from gitcoord.node.clock import since_boot_s
from gitcoord.node.node_parts import NodeParts
from gitcoord.store.home import locks
from gitcoord.store.home.records import SyncProgress

if TYPE_CHECKING:
    import tenacity

T = TypeVar("T")

LEVELS = ("queued", "durable", "sequenced")
POSITIONS_KEPT = 200  # newest events whose positions waiting processes can read; older ones are found in the fold
POSITIONS_READ_MAX = 20_000  # lines searched after a long absence: nothing waits for older events
NEWS_POLL_S = 0.005
RETRY_S_MAX = 12.8  # the longest random wait between failed rounds
RUNNING_POLL_S = 0.25  # between two checks whether an `agent run` lives here
LOCK_POLL_S = 0.02
CONTENT_CHARS_SHOWN = 80  # of an event that had no effect
FIRST_PAUSE_S = 0.02  # after a round that did not deliver the event; doubles
TROUBLE_WAIT_S = 2.0  # for the next round of an `agent run` whose last round had failed


def level(node: NodeParts, event: Event) -> tuple[str, int | None]:
    """Return the level of `event` as far as this node knows ("queued", "durable" or "sequenced"), and its position.

    The position is None until the event is sequenced. Raise Lost if the event was dropped from the queue.
    """
    progress = node.home.progress()
    queued = _queued(node, event)
    again = queued is not None and queued.line == event.line and (event.seq or 0) > progress.sequenced
    if event.uid in progress.positions and not (again and progress.node == event.node):  # one nonce, two lines
        return "sequenced", progress.positions[event.uid]
    if queued is not None:
        reached = progress.node == node.disk.node and (queued.seq or 0) <= progress.durable
        return ("durable" if reached else "queued"), None
    position = node.fleet.position_of(event)
    if position is None and (event.seq or 0) > node.fleet.heads.get(event.node, Head()).seq:
        raise Lost(f"event {event.uid[:8]} was dropped from the queue before it was pushed")
    return "sequenced", position


def why_without_effect(node: NodeParts, event: Event) -> str | None:
    """Return why a sequenced event of this node changed nothing; None if it had an effect."""
    progress = node.home.progress()
    if event.uid in progress.positions:
        return progress.reasons.get(event.head.hash, progress.reasons.get(event.uid))
    return node.fleet.why_without_effect(event)


def _queued(node: NodeParts, event: Event) -> Event | None:
    pending = node.disk.pending()
    if pending:
        place = (event.seq or 0) - (pending[0].seq or 0)
        if 0 <= place < len(pending) and pending[place].uid == event.uid:
            return pending[place]
    return next((one for one in pending if one.uid == event.uid), None)  # chained again meanwhile, or gone


def confirm(
    node: NodeParts, event: Event, wanted: str, *, timeout_s: float, rounds: int | None = None, urgent: bool = False
) -> tuple[str, int | None]:
    """Wait until `event` has reached the level `wanted`, and return its level and position.

    The process that holds the lock syncs for all; others wait for its result. `rounds` is the number of own rounds to
    try (None: until the time is up); `urgent` rounds may borrow from the push budget. Raise NotConfirmed on a timeout;
    NoEffect if the event is sequenced and changed nothing; and, at once, what a person has to fix: BadCredentials,
    Denied, Paused.
    """
    return _Wait(node, event, timeout_s, rounds, urgent).until(wanted)


class _Wait:
    """One wait for an event to reach a level."""

    def __init__(self, node: NodeParts, event: Event, timeout_s: float, rounds: int | None, urgent: bool) -> None:
        self.node, self.event, self.timeout_s, self.rounds, self.urgent = node, event, timeout_s, rounds, urgent
        self.deadline = time.monotonic() + timeout_s
        self.tried = 0
        self.trouble: GitcoordError | None = None
        self.began = node.home.progress()
        self.running = False
        self.checked_s = float("-inf")

    def until(self, wanted: str) -> tuple[str, int | None]:
        while True:
            reached, position = level(self.node, self.event)
            if reached == "sequenced" and (reason := why_without_effect(self.node, self.event)) is not None:
                raise NoEffect(f"{self.event.content[:CONTENT_CHARS_SHOWN]!r} has no effect: {reason}")
            if LEVELS.index(reached) >= LEVELS.index(wanted):
                return reached, position
            left_s = self.deadline - time.monotonic()
            if left_s <= 0 or (self.rounds is not None and self.tried >= self.rounds):
                break
            if self._agent_syncs():
                self._await_agent(min(left_s, RUNNING_POLL_S))
            else:
                self._sync(left_s)
        lock = self.node.home.path / "lock"
        if self.trouble is None and not self.tried and locks.is_held(lock):
            self.trouble = locks.LockHeld(f"{locks.holder(lock)} holds the lock {lock}")
        because = f" ({self.trouble})" if self.trouble else ""
        waited_s = self.timeout_s - max(0.0, self.deadline - time.monotonic())
        raise NotConfirmed(
            f"event {self.event.uid[:8]} is {reached}, not {wanted}, after {waited_s:.1f} s{because}: "
            "it is safe on this disk, and the next sync delivers it"
        )

    def _agent_syncs(self) -> bool:
        now = time.monotonic()
        if now - self.checked_s >= RUNNING_POLL_S:
            self.running, self.checked_s = bool(self.node.home.running()), now
        return self.running

    def _await_agent(self, at_most_s: float) -> None:
        self._await_news(at_most_s, self.node.home.progress())
        now, rounds = self.node.home.progress(), self.rounds
        if rounds is None:
            return
        ended, waited_s = now.rounds - self.began.rounds, self.timeout_s - (self.deadline - time.monotonic())
        if now.problem and (ended >= rounds or (self.began.problem and waited_s >= TROUBLE_WAIT_S)):
            self.trouble, self.tried = GitcoordError(now.problem), rounds
        elif ended > rounds:  # the first of them may have begun before the event was queued
            self.tried = rounds

    def _sync(self, left_s: float) -> None:
        node = self.node
        if self._others_sync(left_s):
            return
        try:
            report = self._retrying(left_s)(node.sync, lock_timeout_s=0, urgent=self.urgent)
        except filelock.Timeout:
            return
        except (Unreachable, Lost) as wrong:
            self.trouble, self.tried = wrong, self.tried + 1
            return
        self.tried += 1
        self.trouble = None
        if level(node, self.event)[0] != "sequenced" and self.rounds is None:
            pause_s = (
                max(0.1, node.budget.wait_s(since_boot_s()))
                if report.waiting
                else (min(FIRST_PAUSE_S * 2 ** min(self.tried, 10), node.local.profile.poll_s))
            )
            node.pause(min(pause_s, left_s))

    def _others_sync(self, left_s: float) -> bool:
        """Wait while another process of this node holds the lock and syncs. Return False if none holds it."""
        path, before, end_s = self.node.home.path / "lock", self.node.home.progress(), time.monotonic() + left_s
        if not locks.is_held(path):
            return False
        while self._await_news(LOCK_POLL_S, before) and time.monotonic() < end_s and locks.is_held(path):
            pass
        return True

    def _retrying(self, left_s: float) -> tenacity.Retrying:
        """Return a policy that repeats failed rounds until the time is up; none if the number of rounds is limited."""
        import tenacity  # only who waits for a round needs it

        stop = tenacity.stop_after_delay(left_s) if self.rounds is None else tenacity.stop_after_attempt(1)
        return tenacity.Retrying(
            stop=stop,
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=RETRY_S_MAX),
            reraise=True,
            retry=tenacity.retry_if_exception_type((Unreachable, Lost)),
            sleep=lambda seconds: self.node.pause(max(0.0, min(seconds, self.deadline - time.monotonic()))),
        )

    def _await_news(self, at_most_s: float, before: SyncProgress) -> bool:
        """Wait until the syncing process has reported. Return True if it did not within `at_most_s`."""
        until = time.monotonic() + at_most_s
        while self.node.home.progress() is before:
            if time.monotonic() >= until:
                return True
            self.node.pause(NEWS_POLL_S)
        return False


def note_failure(node: NodeParts, wrong: GitcoordError) -> None:
    """Record for waiting processes that a round failed, and why."""
    old = node.home.progress()
    online = not isinstance(wrong, Unreachable) and old.online
    with contextlib.suppress(OSError):
        node.home.save_progress(
            replace(
                old, rounds=old.rounds + 1, online=online, problem=str(wrong), **push_budget.to_progress(node.budget)
            )
        )


def note(node: NodeParts, replica: Replica, before: int, report: Report) -> None:
    """Record for waiting processes how far this node's chain got, and the positions of its newest events.

    `before` is the position that the fold had before the round.
    """
    old = node.home.progress()
    same = old.node == node.disk.node
    found = _newest(node, replica, before)
    effective = replica.branch.fleet.positions
    newest = {event.uid: effective.get(event.uid, position) for position, event in found}
    positions = _last(old.positions if same else {}, newest)
    node.home.save_progress(
        SyncProgress(
            node=node.disk.node,
            durable=report.durable.seq,
            sequenced=report.sequenced.seq,
            rounds=old.rounds + 1,
            online=True,
            positions=positions,
            reasons=_last(old.reasons if same else {}, _reasons(replica.branch.fleet, found)),
            **push_budget.to_progress(node.budget),
        )
    )
    with contextlib.suppress(OSError):
        fetched = [heartbeat for heartbeat in replica.heartbeats() if heartbeat.node != node.disk.node]
        own = [
            parse(line) for line in (*node.home.neighbours(), *_own_lines(node))
        ]  # as pushed in this round, not as fetched before
        peers.note_heartbeats(
            node.home.cache,
            [*fetched, *own],
            time.time(),
            poll_s=node.local.profile.poll_s,
            first_seen=replica.first_seen,
        )


def _last(old: Mapping[str, T], new: Mapping[str, T]) -> dict[str, T]:
    """Return the newest POSITIONS_KEPT entries of both."""
    return dict([*{**{name: old[name] for name in old.keys() - new.keys()}, **new}.items()][-POSITIONS_KEPT:])


def _reasons(fleet: FleetState, events: Sequence[tuple[int, Event]]) -> dict[str, str]:
    """Return why some events changed nothing: by the line's hash, and by uid if no other line of the uid had an
    effect."""
    reasons = {}
    for _, event in events:
        reason = fleet.why_without_effect(event)
        if reason is not None:
            reasons[event.head.hash] = reason
            if event.uid not in fleet.positions:
                reasons[event.uid] = reason
    return reasons


def _newest(node: NodeParts, replica: Replica, before: int) -> list[tuple[int, Event]]:
    """Return this node's newest events after position `before`, oldest first."""
    found: list[tuple[int, Event]] = []
    last, read = replica.branch.fleet.position, replica.branch.line_at()
    wanted = min(POSITIONS_KEPT, replica.heads.get(node.disk.node, Head()).seq)
    for position in range(last, max(before, last - POSITIONS_READ_MAX), -1):
        if len(found) >= wanted:
            break
        line = read(position)
        if may_be_of_node(line, node.disk.node):
            event = parse(line)
            member = replica.branch.fleet.members.get(event.actor)
            # Another author's line may be in our chain, with the actor and nonce of a line that is still queued here.
            if event.node == node.disk.node and event.seq and member is not None and member.key == event.key:
                found.append((position, event))
    return found[::-1]


def _own_lines(node: NodeParts) -> list[bytes]:
    return [session.line for session in node.local.sessions if session.line and session.heartbeat_at_s is not None]
