"""How things stand on a node, as last seen: the queue, the leader, the agents, and what needs attention first."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, Any

from gitcoord.core import liveness
from gitcoord.core.liveness import Observation
from gitcoord.node import seen

if TYPE_CHECKING:
    from gitcoord.node.node import Node

ERRORS_SHOWN = 10
QUEUE_LATE_S = 60.0  # a queue that is older needs attention, even where nobody noticed an outage
RECENT_S = 3600.0  # errors in the log need attention this long; afterwards they are history


def standing(node: Node, now_s: float | None = None) -> dict[str, Any]:
    """`gitcoord.status/1`, without asking the remote; docs/json.md tells what each field means."""
    now_s = time.time() if now_s is None else now_s
    fleet, progress, home = node.fleet, node.home.progress(), node.home
    _, looked_s = seen.observations(home.cache)
    value: dict[str, Any] = {
        "schema": "gitcoord.status/1", "fleet": node.config.fleet, "node": node.disk.node,
        "agent": node.config.agent, "profile": node.crew.profile.name, "online": progress.online,
        "seen_s": None if looked_s is None else round(max(0.0, now_s - looked_s), 1), "problem": progress.problem,
        "paused": _paused(node), "running": home.running(), "queue": _queue(node, now_s),
        "ledger": {"position": fleet.position, "tip": home.tip},
        "leader": None, "agents": _agents(node, now_s), "snapshot": _snapshot(node),
        "errors": _errors(node), "void": _findings(node), "pushes_per_minute": _budget(node, now_s),
        "paths": home.paths(),
    }
    terms = fleet.terms
    if terms.leader is not None:
        state = next((one["state"] for one in value["agents"] if one["id"] == terms.leader), liveness.SILENT)
        value["leader"] = {"agent": terms.leader, "term": terms.term, "node": terms.node, "since": terms.since,
                           "state": state}
    value["attention"] = attention(value, now_s)
    return value


def attention(value: dict[str, Any], now_s: float) -> list[str]:
    """What a person should look at, the most urgent first, each with what to do."""
    queue, leader = value["queue"], value["leader"]
    found = []
    if value["paused"]:
        found.append(f"paused: {value['paused']}; mend it, then run `gitcoord resume`")
    if not value["online"]:
        found.append(f"the remote is not reached: {value['problem']}; `gitcoord doctor` looks into it")
    if queue["events"] and (queue["oldest_s"] >= QUEUE_LATE_S or not value["online"]):
        found.append(f"{count(queue['events'], 'event')} queued, the oldest for {ago(queue['oldest_s'])}: "
                     "run `gitcoord sync`")
    if leader is None:
        found.append("nobody leads: run `gitcoord agent run`, or `gitcoord elect`")
    elif leader["state"] in (liveness.LATE, liveness.GONE, liveness.GOODBYE):
        found.append(f"the leader, {leader['agent']}, is {leader['state']}: `gitcoord elect` tells more, or stands")
    found += [f"{one['id']} is {one['state']}, last heard of {ago(one['heard_s'])} ago on node {one['node']}"
              for one in value["agents"] if one["state"] == liveness.LATE and not one["leads"]]
    for one in value["errors"] + value["void"]:
        when = _epoch_s(one["time"])
        if when is not None and now_s - when < RECENT_S:
            found.append(f"position {one['position']}, {one['actor']}: {one['text']}" if one["position"]
                         else str(one["text"]))
    return found


def ago(seconds: float) -> str:
    """A time span in words: `4 s`, `3 min`, `2 h`, `5 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _queue(node: Node, now_s: float) -> dict[str, Any]:
    waiting = list(seen.own_pending(node))
    ages = [now_s - (_epoch_s(event.timestamp) or now_s) for _, event in waiting]
    return {"events": len(waiting), "oldest_s": round(max([0.0, *ages]), 1),
            "durable": sum(level == "durable" for level, _ in waiting)}


def _agents(node: Node, now_s: float) -> list[dict[str, Any]]:
    """Every member, those that matter first."""
    observed, looked_s = seen.observations(node.home.cache)
    newest = liveness.newest(observed)
    terms = node.fleet.terms
    agents = []
    for member in node.fleet.members.by_id.values():
        one = newest.get(member.id.casefold())
        state = _state(node, one, looked_s or now_s)
        agents.append({
            "id": member.id, "state": "left" if member.left else state if member.admitted else "waiting",
            "leads": terms.leader == member.id, "node": one.node if one else None,
            "heard_s": round(max(0.0, now_s - one.since_s) + one.silent_s, 1) if one else None,
            "next_s": one.next_s if one else None, "runs_here": member.id.casefold() in node.home.running(),
            "admin": member.admin,
        })
    order = [liveness.LATE, "waiting", liveness.ALIVE, liveness.GONE, liveness.GOODBYE, liveness.SILENT, "left"]
    return sorted(agents, key=lambda one: (not one["leads"], order.index(str(one["state"]))))


def _state(node: Node, one: Observation | None, looked_s: float) -> str:
    # As of the last look: what happened since, nobody here can know. An outage of ours is not their silence.
    return liveness.SILENT if one is None else liveness.state(one, looked_s, poll_s=node.crew.profile.poll_s)


def _snapshot(node: Node) -> dict[str, Any] | None:
    from gitcoord.features import snapshot
    from gitcoord.node import publish

    page = publish.read_file(node.replica.branch, snapshot.COMMUNICATION)
    position = snapshot.parse_position(page.decode("utf-8", "replace")) if page else None
    return None if position is None else {"position": position, "behind": node.fleet.position - position}


def _errors(node: Node) -> list[dict[str, Any]]:
    found = [
        {"position": one.position, "actor": one.actor, "text": one.text, "time": one.timestamp}
        for one in node.fleet.states["health"].errors
    ]
    waiting = [{"position": None, "actor": event.actor, "text": event.content, "time": event.timestamp}
               for event in node.disk.pending() if event.type == "error"]
    return (found + waiting)[-ERRORS_SHOWN:]


def _findings(node: Node) -> list[dict[str, Any]]:
    return [
        {"position": one.position, "actor": one.actor, "text": one.text, "time": one.timestamp}
        for one in node.fleet.states["health"].void[-ERRORS_SHOWN:]
    ]


def _budget(node: Node, now_s: float) -> dict[str, Any] | None:
    """What the host recommends for the whole repository, and among how many nodes it is shared."""
    whole = node.crew.profile.pushes_per_minute
    alive = {one.node for one in seen.observations(node.home.cache)[0]
             if liveness.state(one, now_s, poll_s=node.crew.profile.poll_s) == liveness.ALIVE}
    return None if whole is None else {"fleet": whole, "nodes": len(alive | {node.disk.node})}


def _paused(node: Node) -> str | None:
    try:
        return (node.home.path / "paused").read_text(encoding="utf-8").strip() or "writing to the disk failed"
    except FileNotFoundError:
        return None


def _epoch_s(timestamp: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None
