"""Places: where the sessions of an agent live. Two of one agent in two places would bind each other unawares.

A place is a work tree of a node. Each session of this node holds a lock beside its heartbeats for as long as it lives,
however it ends. Sessions on other nodes are known by their heartbeats.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gitcoord.core import liveness, times
from gitcoord.core.errors import Refused
from gitcoord.core.liveness import ALIVE
from gitcoord.core.names import same_agent
from gitcoord.node import peers
from gitcoord.node.clock import utc_now
from gitcoord.store import typed_json
from gitcoord.store.files import write_quickly
from gitcoord.store.home import locks
from gitcoord.store.home.home import Home

if TYPE_CHECKING:
    from gitcoord.node.node import Node

LOCK_S = 0.5  # another process may hold the lock only to check whether it is held


@dataclass(frozen=True, slots=True)
class LivePlace:
    """A place where a session of an agent lives. `since` is a time by that machine's clock; "": not known."""

    agent: str
    node: str
    place: str
    since: str = ""

    def __str__(self) -> str:
        where = f" in the work tree {self.place}" if self.place else ""
        return f"node {self.node}{where}" + (f" since {times.shown(self.since)}" if self.since else "")


@contextlib.contextmanager
def held(home: Home, agent: str, *, node_id: str, place: str) -> Iterator[None]:
    """Make it known that a session of the agent lives in a place of this node, for as long as this lasts."""
    path = home.path / "heartbeats" / f"{agent.casefold()}.{os.getpid()}.{place}.place"
    for old in path.parent.glob(f"{agent.casefold()}.*.place"):
        with contextlib.suppress(OSError):
            if not locks.is_held(old):  # its process was killed
                old.unlink()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a full disk is reported elsewhere
            write_quickly(path, json.dumps(asdict(LivePlace(agent, node_id, place, utc_now()))).encode())
            stack.callback(path.unlink, missing_ok=True)
            stack.enter_context(locks.holding(path, guards="a session's place", wait_s=LOCK_S))
        yield


def check(node: Node, agent: str) -> None:
    """Raise Refused if a session of the agent lives in another place than this one."""
    if os.environ.get("GITCOORD_TASK_ID") and same_agent(os.environ.get("GITCOORD_AGENT", ""), agent):
        return  # the command of a task: its session gave it a work tree of its own
    there = next(elsewhere(node, agent), None)
    if there is None:
        return
    raise Refused(
        f"{agent} is at work in another place: {there}. Nothing is bound here, because that session would not know of "
        f"it. Use an agent of this place (`gitcoord init --agent NAME`, `gitcoord mcp --as '{agent}-{{worktree}}'`), "
        "end that session, or run the command on the command line with --takeover"
    )


def elsewhere(node: Node, agent: str) -> Iterator[LivePlace]:
    """Yield the other places where sessions of the agent live, as far as this node knows now."""
    there: list[LivePlace] = []
    own: list[LivePlace] = []
    for one in _of_node(node.home, agent):
        (own if (one.node, one.place) == (node.disk.node, node.place) else there).append(one)
    first = min((one.since for one in own), default=None)  # of the sessions in this place
    yield from (one for one in there if first is None or one.since < first)
    if agent.casefold() in node.home.running():
        return  # one `agent run` of an agent lives at a time
    known, _ = peers.observations(node.home.cache)
    now_s, poll_s = time.time(), node.local.profile.poll_s
    for seen in known:
        alive = liveness.state(seen, now_s, poll_s=poll_s) == ALIVE  # NOW: what was not looked at may have ended
        if alive and same_agent(seen.agent, agent) and seen.node != node.disk.node:
            yield LivePlace(seen.agent, seen.node, "", seen.began)


def _of_node(home: Home, agent: str) -> list[LivePlace]:
    found = []
    for path in sorted((home.path / "heartbeats").glob(f"{agent.casefold()}.*.place")):
        with contextlib.suppress(OSError, ValueError):  # a power cut leaves broken ones
            one = typed_json.read(LivePlace, path.read_bytes())
            if same_agent(one.agent, agent) and locks.is_held(path):
                found.append(one)
    return found
