"""Peers: what this node last saw of the others, their heartbeats and their outboxes. Reading needs no network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitcoord.core import liveness, times
from gitcoord.core.fold.ledger_time import FirstSeen
from gitcoord.core.format.event import Event
from gitcoord.core.liveness import AgentLiveness, Observation
from gitcoord.node.clock import since_boot_s
from gitcoord.store import typed_json
from gitcoord.store.files import make_folder, write_quickly

if TYPE_CHECKING:  # a command that only shows the status starts without a fold
    from gitcoord.core.ledger.outbox import Outbox
    from gitcoord.node.node_parts import NodeParts
    from gitcoord.node.status_cache import CachedStatus
    from gitcoord.store.home.home import Home

FILE = "heartbeats.json"


@dataclass(frozen=True, slots=True)
class _Saved:
    """The content of the cache file."""

    at_s: float
    seen: list[Observation]
    positions: list[int] = field(default_factory=list)
    since_s: list[float] = field(default_factory=list)


def note_heartbeats(
    cache: Path, heartbeats: Sequence[Event], now_s: float, *, poll_s: float, first_seen: FirstSeen | None = None
) -> None:
    """Save when each heartbeat and each position was first seen, by this machine's own clock. Call it after a round."""
    make_folder(cache, exist_ok=True)
    known, synced_s = observations(cache)
    seen = liveness.observe(known, heartbeats, now_s, blind_s=liveness.blind_s(synced_s, now_s, poll_s=poll_s))
    marks = first_seen or FirstSeen()
    value = {"at_s": now_s, "seen": liveness.dump(seen), "positions": marks.positions, "since_s": marks.since_s}
    write_quickly(cache / FILE, json.dumps(value).encode())


def first_seen(cache: Path) -> FirstSeen:
    """Return when this machine first saw the ledger reach its positions; empty if nothing usable was saved."""
    try:
        value = typed_json.read(_Saved, (cache / FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return FirstSeen()
    fits = len(value.positions) == len(value.since_s) and value.positions == sorted(value.positions)
    return FirstSeen(value.positions, value.since_s) if fits else FirstSeen()


def observations(cache: Path) -> tuple[list[Observation], float | None]:
    """Return the saved heartbeats, and the time of the last successful round in seconds since the epoch.

    The time is None if there was no such round.
    """
    try:
        value = typed_json.read(_Saved, (cache / FILE).read_bytes())
        return value.seen, value.at_s
    except (FileNotFoundError, ValueError):
        return [], None


def look_age_s(cache: Path) -> float | None:
    """Return how long ago a process of this node saw the remote; None if none ever did. Below 0: a clock was set."""
    _, looked_s = observations(cache)
    return None if looked_s is None else time.time() - looked_s


def active_reservations(cache: Path, cached: CachedStatus) -> list[dict[str, Any]]:
    """Return the cached reservations (as `gitcoord reservations --json` has them) whose time is not up.

    Time counts as far as this machine has seen it pass.
    """
    marks, now_s = first_seen(cache), since_boot_s()
    return [
        one
        for one in cached.held
        if one["until"] > cached.time
        and marks.age_s(one["position"], now_s) < times.between_s(one["since"], one["until"])
    ]


def agent_liveness(node: NodeParts, *, watched: bool = False) -> dict[str, AgentLiveness]:
    """Return how alive each agent was at this node's last look, by agent (casefolded). `watched` as in `liveness`."""
    return standings(node.home, node.disk.node, poll_s=node.local.profile.poll_s, watched=watched)


def standings(home: Home, node_id: str, *, poll_s: float, watched: bool = False) -> dict[str, AgentLiveness]:
    """Return the same for the node of `home`; `poll_s` is the time between two looks."""
    known, looked_s = observations(home.cache)
    if looked_s is None:
        return {}
    found = liveness.standings(known, looked_s, poll_s=poll_s, watched=watched)
    here = [one for one in found.values() if one.node == node_id and one.state != liveness.GOODBYE]
    running = set(home.running()) if here else set()
    return found | {one.agent.casefold(): with_process(one, one.agent.casefold() in running) for one in here}


def with_process(one: AgentLiveness, runs: bool) -> AgentLiveness:
    """Correct the liveness of an agent of this node by its process: one that ended is gone, one that is slow is not."""
    if not runs:
        return replace(one, state=liveness.GONE, gone_s=one.watched_s)
    return replace(one, state=liveness.ALIVE) if one.silent_s < liveness.HUNG_AFTER * one.next_s else one


def outboxes(node: NodeParts) -> dict[str, Outbox]:
    """Return all outboxes of the last fetch, by node id; heartbeats with wrong signatures are left out."""
    from gitcoord.core.ledger import outbox
    from gitcoord.store.git.refs import read_refs
    from gitcoord.store.git.transport import MIRROR

    prefix = MIRROR + node.replica.outbox_prefix.removeprefix("refs/")
    refs = read_refs(node.home.store, prefix)
    return {name: outbox.read(node.store, oid) for name, oid in sorted(refs.items())}


def live_heartbeats(node: NodeParts) -> list[Event]:
    """Return the newest heartbeats in all outboxes, with signatures checked against the members' keys."""
    fleet = node.fleet
    return [
        heartbeat
        for box in outboxes(node).values()
        for heartbeat in box.heartbeats
        if (member := fleet.members.get(heartbeat.actor)) is not None
        and member.key == heartbeat.key
        and node.keyring.verifier().rejects(heartbeat, fleet.id or "") is None
    ]


def pending(node: NodeParts) -> Iterator[tuple[str, Event]]:
    """Yield the events that wait to be sequenced, with their levels: first the others' from their outboxes, then our
    own."""
    from gitcoord.core.fold.chains import Inadmissible

    fleet = node.fleet
    chains = fleet.chains.fork()
    for name, box in outboxes(node).items():
        for line in box.lines if name != node.disk.node else ():
            try:
                event = fleet.admissible(line, chains=chains)
            except Inadmissible:
                continue
            if event.seq is not None:
                chains.take(event)
                yield "durable", event
    yield from own_pending(node)


def own_pending(node: NodeParts) -> Iterator[tuple[str, Event]]:
    """Yield this node's queue, with the levels."""
    fleet, progress = node.fleet, node.home.progress()
    durable = progress.durable if progress.node == node.disk.node else 0
    for event in node.disk.pending():
        if fleet.position_of(event) is None:
            yield ("durable" if (event.seq or 0) <= durable else "queued"), event
