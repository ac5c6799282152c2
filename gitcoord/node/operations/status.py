"""The status of a node, as last seen: the queue, the leader, the agents, and what needs attention first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from gitcoord.core import liveness, times
from gitcoord.core.format.event import Event
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.liveness import AgentLiveness, Observation
from gitcoord.core.text import count, cut
from gitcoord.node import peers
from gitcoord.node.clock import since_boot_s
from gitcoord.node.remotes import ledger_mirror
from gitcoord.node.status_cache import FINDINGS_KEPT, CachedStatus
from gitcoord.node.writer import Writer
from gitcoord.store.files import paused
from gitcoord.store.git.backoff import Backoff
from gitcoord.store.home import dead_letters
from gitcoord.store.home.home import Home

OUTAGE = "offline after "  # an error with this beginning reports an outage; with a position, one that is over
QUEUE_LATE_S = 60.0  # a queue that is older needs attention, even where nobody noticed an outage
OLD_S = 600.0  # what is known is told with its age; above this it needs attention
RECENT_S = 3600.0  # errors in the log need attention this long; afterwards they are history
STALE_SHOWN = 5
LEFT_SHOWN = 5  # outboxes that cannot be used; anybody with push access can make thousands
MIRROR_SHOWN = 250  # characters: the end of the text says what to do
TEXT_SHOWN = 100  # characters of an error: git may print many


LOST = {  # what only a person can fix, by the outcome of the recovery
    "escalated": "a person has to take care of it (`gitcoord recovery show`)",
    "failed": "every step of the setting `recovery` failed (`gitcoord recovery show`)",
    "degraded": "no agent has taken over its work (`gitcoord recovery show`)",
}


def status(writer: Writer, cached: CachedStatus, now_s: float | None = None) -> dict[str, Any]:
    """Return `gitcoord.status/1`, without asking the remote; docs/json.md explains each field."""
    now_s = time.time() if now_s is None else now_s
    home, progress, running = writer.home, writer.home.progress(), writer.home.running()
    profile = PROFILES[writer.config.profile or cached.profile]
    observed, looked_s = peers.observations(home.cache)
    seen = peers.standings(home, writer.disk.node, poll_s=profile.poll_s)  # at the last look: our outage is no silence
    states = _states(cached, seen)
    value: dict[str, Any] = {
        "schema": "gitcoord.status/1",
        "fleet": writer.config.fleet_id,
        "node": writer.disk.node,
        "agent": writer.config.agent,
        "profile": profile.name,
        "online": progress.online,
        "seen_s": None if looked_s is None else round(max(0.0, now_s - looked_s), 1),
        "problem": progress.problem,
        "paused": paused(home.path),
        "running": running,
        "queue": _queue(writer, cached, now_s),
        "ledger": {"position": cached.position, "tip": cached.tip or None},
        "leader": None,
        "agents": _agents(cached, observed, states, running, now_s),
        "snapshot": None,
        "errors": _errors(writer, cached),
        "void": cached.void,
        "pushes_per_minute": None,
        "moves_to": cached.moves_to or None,
        "mirror": ledger_mirror.shown(home.path, writer.config.mirror, cached.tip, now_s),
        "left": [{"ref": ref, "why": pause.why} for ref, pause in sorted(Backoff(home.store).failing().items())],
        "trust": cached.founder or None,
        "trust_digest": cached.newest or None,
        "proposals": cached.proposals,
        "stale": _stale(home, cached, seen) if looked_s is not None else [],
        "work": {
            **cached.work,
            "reservations": [
                {name: one[name] for name in ("agent", "place", "paths", "until", "why")}
                for one in peers.active_reservations(home.cache, cached)
            ],
        },
        "lost": cached.lost,
        "floods": cached.floods,
        "waiting": _why_waiting(writer, cached),
        "failed": _failed(home),
        "paths": home.paths(),
    }
    if cached.leader is not None:
        state = states.get(cached.leader.casefold(), liveness.SILENT)
        value["leader"] = {
            "agent": cached.leader,
            "term": cached.term,
            "node": cached.leader_node,
            "since": cached.since,
            "state": state,
        }
    if cached.snapshot is not None:
        value["snapshot"] = {"position": cached.snapshot, "behind": cached.position - cached.snapshot}
    if (
        profile.pushes_per_minute is not None
    ):  # the host recommends a rate for the whole fleet, which the living nodes share
        alive = {one.node for one in observed if liveness.state(one, now_s, poll_s=profile.poll_s) == liveness.ALIVE}
        value["pushes_per_minute"] = {"fleet": profile.pushes_per_minute, "nodes": len(alive | {writer.disk.node})}
    value["attention"] = attention(value, now_s)
    return value


def attention(value: dict[str, Any], now_s: float) -> list[str]:
    """Return what a person should look at, the most urgent first, each with what to do."""
    queue, leader = value["queue"], value["leader"]
    found = []
    if value["paused"]:
        found.append(f"paused: {value['paused']}; fix that, then run `gitcoord resume`")
    found += _old(value)
    if not value["online"]:  # said once, for the queue too: no other command helps meanwhile
        queued = f"; {count(queue['events'], 'event')} queued until it answers" if queue["events"] else ""
        found.append(f"offline: {value['problem']}{queued}; `gitcoord doctor` looks for the cause")
    elif queue["events"] and queue["oldest_s"] >= QUEUE_LATE_S:
        found.append(
            f"{count(queue['events'], 'event')} queued, the oldest for {times.roughly(queue['oldest_s'])}: "
            "run `gitcoord sync`"
        )
    if value["moves_to"]:
        to = value["moves_to"]
        found.append(f"the fleet moved to {to}: if that is right, run `gitcoord move --follow`; the queue goes along")
    found += [f"{one['task'][:8]} {one['title']!r}: {one['note']}" for one in value["stale"][:STALE_SHOWN]]
    if value["waiting"]:
        found.append(f"what is queued here does not come into the ledger today: {value['waiting']}")
    if leader is None and value["online"] and not value["moves_to"]:
        found.append("nobody leads: run `gitcoord agent run`, or `gitcoord elect`")
    if leader is not None and leader["state"] in (liveness.LATE, liveness.GONE, liveness.GOODBYE):
        found.append(
            f"the leader, {leader['agent']}, is {leader['state']}: run `gitcoord elect` to see more, or to campaign"
        )
    for one in value["left"][:LEFT_SHOWN]:
        found.append(f"{one['ref']} cannot be used: {cut(one['why'], TEXT_SHOWN)}; run `gitcoord doctor`")
    mirror = value["mirror"]
    if mirror is not None and mirror["problem"]:
        why = cut(mirror["problem"], MIRROR_SHOWN)
        found.append(f"the mirror at {mirror['remote']} is behind, and the fleet goes on without it: {why}")
    if value["proposals"]:
        found.append(
            f"{count(value['proposals'], 'proposal')} of the leader to approve or reject: "
            "run `gitcoord autonomy proposals`"
        )
    found += [
        f"{count(one['events'], 'event')} that {one['agent']}'s handler failed on, the newest "
        f"{one['newest'][:8]}: `gitcoord inbox --failed --as '{one['agent']}'`"
        for one in value["failed"]
    ]
    found += [
        f"{one['agent']} floods the fleet: {count(one['events'], 'event')} today ({one['share']:.0%}), "
        f"{one['void']} of its lines are void; an admin can `gitcoord agent mute {one['agent']}`"
        for one in value["floods"]
        if one["void"] and not one["muted"]
    ]
    for one in value["lost"]:
        when = _epoch_s(one["since"])
        since = f", since {times.roughly(max(0.0, now_s - when))}" if when is not None else ""
        what = LOST.get(one["outcome"], "`gitcoord recovery show` shows what is done about it")
        found.append(f"{one['agent']} is gone{since}: {what}")
    found += [
        f"{one['id']} is {one['state']}, last heard of {times.roughly(one['heard_s'])} ago on node {one['node']}"
        for one in value["agents"]
        if one["state"] == liveness.LATE and not one["leads"]
    ]
    for one in value["errors"] + value["void"]:
        when = _epoch_s(one["time"])
        if when is not None and now_s - when < RECENT_S and not one["text"].startswith(OUTAGE):
            found.append(describe_finding(one))
    return found


def _old(value: dict[str, Any]) -> list[str]:
    """Return what a person should know of the age of what is shown; nothing if it is fresh, or an outage is told."""
    if value["seen_s"] is None:
        return ["this clone has not seen the remote yet, so nothing is known of the others: run `gitcoord sync`"]
    if value["online"] and value["seen_s"] >= OLD_S:
        seen = times.roughly(value["seen_s"])
        return [f"this clone saw the remote {seen} ago, and what follows is as old: run `gitcoord sync`"]
    return []


def _why_waiting(writer: Writer, cached: CachedStatus) -> str | None:
    """Return why the ledger does not take the first event of the queue today; None if no reason is known."""
    first = next(iter(_waiting(writer, cached)), None) if cached.full else None
    if first is None:
        return None
    name = first.actor.casefold()
    known = any(one.id.casefold() == name and one.admitted for one in cached.members)
    return cached.full.get(name if known else "")


def describe_finding(one: Mapping[str, Any]) -> str:
    """Return one line about an error or an event without effect; `gitcoord events` shows all of it."""
    place = f"position {one['position']}" if one["position"] else "queued"
    return f"{place}, {one['actor']}: {cut(one['text'], TEXT_SHOWN)}"


def _queue(writer: Writer, cached: CachedStatus, now_s: float) -> dict[str, Any]:
    progress = writer.home.progress()
    durable = progress.durable if progress.node == writer.disk.node else 0
    waiting = _waiting(writer, cached)
    ages = [now_s - (_epoch_s(event.timestamp) or now_s) for event in waiting]
    return {
        "events": len(waiting),
        "oldest_s": round(max([0.0, *ages]), 1),
        "durable": sum((event.seq or 0) <= durable for event in waiting),
    }


def _agents(
    cached: CachedStatus,
    observed: Sequence[Observation],
    states: Mapping[str, str],
    running: Sequence[str],
    now_s: float,
) -> list[dict[str, Any]]:
    """Return a row for each member: the leader first, then those that need attention."""
    newest = liveness.newest(observed)
    agents = []
    for member in cached.members:
        one = newest.get(member.id.casefold())
        state = states.get(member.id.casefold(), liveness.SILENT)
        agents.append(
            {
                "id": member.id,
                "state": "left" if member.left else state if member.admitted else "waiting",
                "leads": cached.leader == member.id,
                "node": one.node if one else None,
                "heard_s": round(max(0.0, now_s - one.since_s) + one.silent_s, 1) if one else None,
                "next_s": one.next_s if one else None,
                "runs_here": member.id.casefold() in running,
                "admin": member.role == "admin",
                "role": member.role,
                "key": member.key,
            }
        )
    order = [liveness.LATE, "waiting", liveness.ALIVE, liveness.GONE, liveness.GOODBYE, liveness.SILENT, "left"]
    return sorted(agents, key=lambda one: (not one["leads"], order.index(str(one["state"]))))


def _states(cached: CachedStatus, seen: Mapping[str, AgentLiveness]) -> dict[str, str]:
    """Return how alive each member is, by `agent list`'s own function."""
    found = {}
    for member in cached.members:
        key = member.id.casefold()
        recorded, ended = cached.recorded.get(key, (liveness.SILENT, ""))
        found[key] = liveness.shown(seen.get(key), recorded=recorded, ended=ended, looked=bool(seen))
    return found


def _stale(home: Home, cached: CachedStatus, seen: Mapping[str, AgentLiveness]) -> list[dict[str, Any]]:
    """Return the tasks whose holders give no sign of life, those first that go back first."""
    if not cached.tasks:
        return []
    from gitcoord.features.tasks import leases  # imported late: a status without tasks needs no feature
    from gitcoord.features.tasks.state import Heard

    marks, since_boot = peers.first_seen(home.cache), since_boot_s()
    found = []
    for one in cached.tasks:
        idle_s = max(marks.age_s(one.position, since_boot), times.between_s(one.at, cached.time))
        lease = leases.judged(
            one.agent,
            Heard(one.at, one.position, one.written, one.ended),
            seen.get(one.agent.casefold()),
            idle_s=idle_s,
            grace_s=cached.task_grace_s,
            lease_s=cached.task_lease_s,
        )
        if lease is not None and lease.stale:
            left_s = round(max(0.0, lease.left_s), 1)
            found.append(
                {"task": one.id, "title": one.title, "agent": one.agent, "note": lease.note, "lease_left_s": left_s}
            )
    return sorted(found, key=lambda row: row["lease_left_s"])


def _failed(home: Home) -> list[dict[str, Any]]:
    """Return a row for each agent of this node with dead letters. Those marked for a replay need no person."""
    found = []
    for agent, letters in dead_letters.of_all_agents(home.path):
        left = [one for one in letters if not one.replay]
        if left:
            found.append({"agent": agent, "events": len(left), "newest": left[-1].event, "at": left[-1].at})
    return found


def _errors(writer: Writer, cached: CachedStatus) -> list[dict[str, Any]]:
    waiting = [
        {"position": None, "actor": event.actor, "text": event.content, "time": event.timestamp}
        for event in _waiting(writer, cached)
        if event.type == "error" and not event.content.startswith(OUTAGE)
    ]  # while it lasts, `online` shows it
    return (cached.errors + waiting)[-FINDINGS_KEPT:]


def _waiting(writer: Writer, cached: CachedStatus) -> list[Event]:
    """Return the queued events that the ledger lacks: the queue is trimmed only after they were seen there."""
    return [event for event in writer.disk.pending() if (event.seq or 0) > cached.sequenced]


def _epoch_s(timestamp: str) -> float | None:
    return times.seconds(timestamp) or None
