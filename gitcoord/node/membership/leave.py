"""Leaving: the last events reach the log, the outbox is removed, and the home is moved aside."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from gitcoord.core.errors import GitcoordError, NotConfirmed, Refused, Unreachable
from gitcoord.core.format.event import Draft, Event
from gitcoord.core.ports import PushOutcome, Update
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.node.node import Node
from gitcoord.node.operations import handover

RETRY_S = 0.2  # between two rounds while events are queued


@dataclass(slots=True)
class LeaveResult:
    """The result of leaving. `problems` say what could not be done."""

    kept: Path  # where the home was moved
    agents: list[str]  # that left
    ways_back: list[list[str]] = field(default_factory=list)  # commands, one for each agent whose key is kept
    undelivered: int = 0
    outbox_retired: bool = True
    problems: list[str] = field(default_factory=list)


def leave(node: Node, *, force: bool, timeout_s: float) -> LeaveResult:
    """Take this clone out of its fleet. Return what was kept, and how to come back.

    Raise Refused while agents run here, NotConfirmed if events would stay behind, unless `force`.
    """
    check(node)
    result = LeaveResult(Path(), [])
    _drain(node, timeout_s, result, force=force)
    drafts = goodbyes(node)
    result.agents = [draft.actor for draft in drafts if draft.type == "agent_left"]
    if drafts:
        node.append(*drafts, on_secret=OnSecret.HIDE)  # titles of tasks may look like one
    _drain(node, timeout_s, result, force=force)
    with node.home.sync_lock.acquire(timeout=timeout_s):
        result.undelivered = len(_undelivered(node))
        _retire_outbox(node, result)
    remote = node.home.config().remote
    result.kept = _set_aside(node)
    for agent in result.agents:
        key = result.kept / node.home.keys.path(agent).relative_to(node.home.path)
        words = ["gitcoord", "init", "--agent", agent, *(["--remote", remote] if remote != "origin" else [])]
        result.ways_back.append([*words, "--key", str(key)] if key.exists() else words)
    return result


def check(node: Node) -> None:
    """Raise Refused while agents run here."""
    running = node.home.running()
    if running:
        raise Refused(f"{', '.join(running)} runs on this node: end that `gitcoord agent run` first")


def goodbyes(node: Node) -> list[Draft]:
    """Return the drafts of the events by which the agents of this clone give back what they have, and leave."""
    return [draft for agent in agents_here(node) for draft in handover.goodbye(node, agent)]


def changes(node: Node) -> list[str]:
    """Return descriptions of what else leaving does, if everything queued can be delivered."""
    waiting = len(_undelivered(node))
    return [
        *([f"first deliver what is queued ({waiting})"] if waiting else []),
        f"remove {_outbox(node)} from the remote",
        f"move {node.home.path} aside",
    ]


def agents_here(node: Node) -> list[str]:
    """Return the ids of the members whose keys this node keeps.

    An agent whose key comes from the environment is not among them: it may run elsewhere too.
    """
    members = node.fleet.members.by_id.values()
    if node.config.auth == "hmac":  # with one secret for all, only the clone's own agent is known to be here
        own = node.home.config().agent
        return [one.id for one in members if one.id == own and not one.left]
    found = []
    for member in members:
        if member.left or node.home.keys.seed(member.id) is None:
            continue
        if node.keyring.signer(member.id).key == member.key:
            found.append(member.id)
    return found


def _drain(node: Node, timeout_s: float, result: LeaveResult, *, force: bool) -> None:
    """Sync until the log has all queued events. Raise NotConfirmed on a timeout; with `force`, note the problem."""
    deadline = time.monotonic() + timeout_s
    problem = ""
    while True:
        try:
            node.sync()
            problem = ""
        except (Unreachable, filelock.Timeout) as wrong:
            problem = str(wrong)
        except GitcoordError as wrong:
            if not force:
                raise
            problem = str(wrong)
        pending = _undelivered(node)
        if not pending and not problem:
            return
        if force and problem or time.monotonic() > deadline:
            break
        node.pause(RETRY_S)
    if not force:
        because = f" ({problem})" if problem else ""
        raise NotConfirmed(
            f"{len(pending)} queued events are not in the log yet{because}: nothing was changed. "
            "Try again later, or leave with --force, which keeps them in a file"
            if pending
            else f"the fleet cannot be told that you leave{because}: try again later, or leave with --force"
        )
    if problem not in result.problems:
        result.problems.append(problem or f"{len(pending)} events were not sequenced in time")


def _undelivered(node: Node) -> list[Event]:
    return [event for event in node.disk.pending() if event.uid not in node.fleet.positions]


def _retire_outbox(node: Node, result: LeaveResult) -> None:
    """Remove our outbox from the remote, unless it has events that the log lacks: other nodes can still sequence
    those."""
    ref = _outbox(node)
    if result.problems:
        result.outbox_retired = False
        return
    try:
        mine = node.store.fetch(first={node.disk.node}).refs.get(ref)
        if mine is not None:
            answer = node.store.push([Update(ref, mine, None)])[ref]
            result.outbox_retired = answer.outcome is PushOutcome.ACCEPTED
            if not result.outbox_retired:
                result.problems.append(f"the outbox stays on the remote: {answer.reason or answer.outcome.value}")
    except GitcoordError as wrong:
        result.outbox_retired = False
        result.problems.append(f"the outbox stays on the remote: {wrong}")


def _outbox(node: Node) -> str:
    return node.replica.outbox_prefix + node.disk.node


def _set_aside(node: Node) -> Path:
    node.close()
    home = node.home.path
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = home.with_name(f"{home.name}.left-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = home.with_name(f"{home.name}.left-{stamp}-{number}")
    home.rename(kept)
    return kept
