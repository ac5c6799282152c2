"""The doctor's checks of the fleet as last seen: this clone's agent, what is trusted, who leads, clocks, timings."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence

from gitcoord.core import times
from gitcoord.core.format.event import Event
from gitcoord.core.format.keys import fingerprint
from gitcoord.core.ledger import outbox
from gitcoord.core.names import same_agent
from gitcoord.node import trust
from gitcoord.node.diagnostics.finding import FAIL, OK, WARN, Check, DoctorContext, DoctorFinding, age_s
from gitcoord.node.membership.shared_remote import profile_for
from gitcoord.node.node import Node, open_node

AHEAD_S_MAX = 300.0  # a clock may be off by so much without consequences
EVENTS_READ_MAX = 500
OUTBOXES_READ_MAX = 200


def _identity(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    assert ctx.config is not None
    with open_node(ctx.path) as node:
        agent = os.environ.get("GITCOORD_AGENT") or ctx.config.agent
        if agent is not None:
            yield _agent(node, agent)
        fleet = node.fleet
        yield DoctorFinding(
            "trust",
            OK,
            f"the fleet was founded with the key {trust.founder_of(fleet)}, and its log is "
            f"{trust.newest_of(fleet)}: in a closed fleet, a new machine needs one of the two in GITCOORD_TRUST",
        )
        yield _verified(node)
        if fleet.terms.leader:
            yield DoctorFinding("leader", OK, f"{fleet.terms.leader} leads term {fleet.terms.term}, as last seen")
        else:
            yield DoctorFinding("leader", WARN, "nobody leads", "run `gitcoord agent run` on a machine that stays on")
        errors = fleet.states["health"].errors_total
        if errors:
            yield DoctorFinding(
                "errors", OK, f"{errors} error events in the log; `gitcoord events --type error` shows them"
            )


def _agent(node: Node, agent: str) -> DoctorFinding:
    """Check whether the fleet knows the clone's agent by the key that is here, and lets it work."""
    member = node.fleet.members.get(agent)
    if member is None and any(e.type == "agent_joined" and same_agent(e.actor, agent) for e in node.disk.pending()):
        return DoctorFinding("agent", OK, f"{agent} is about to join")
    if member is None:
        joins = f"run `gitcoord init --agent '{agent}'`"
        return DoctorFinding("agent", WARN, f"{agent} has not joined this fleet", joins)
    if member.key != node.keyring.signer(agent).key:
        return DoctorFinding(
            "agent",
            FAIL,
            f"the fleet knows {agent} by another key: events that are written here have no effect",
            "set the right key (GITCOORD_KEY), or join under another name",
        )
    if not member.admitted:
        return DoctorFinding(
            "agent",
            WARN,
            f"{agent} waits to be admitted",
            f"ask an admin of the fleet for `gitcoord agent admit '{agent}' --key {fingerprint(member.key)}`",
        )
    if member.left:
        joins = f"run `gitcoord init --agent '{agent}'`, which joins again"
        return DoctorFinding("agent", WARN, f"{agent} has left the fleet, and writes as a guest", joins)
    return DoctorFinding("agent", OK, f"{agent} is a member")


def _verified(node: Node) -> DoctorFinding:
    """Check whether this clone has folded every event itself."""
    checkpoint_position = node.replica.branch.checkpoint_position
    if checkpoint_position <= trust.read(node.home).position:
        return DoctorFinding("verified", OK, "every event was folded here")
    return DoctorFinding(
        "verified",
        WARN,
        f"the first {checkpoint_position} events were not folded here: this clone began with a "
        "checkpoint of these events, and trusts that it is their fold",
        "run `gitcoord verify`",
    )


def _clock(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Compare others' timestamps with our clock. Only what people read depends on it."""
    with open_node(ctx.path) as node:
        heartbeats = _heartbeats(node, ctx)
        others = [
            (event, -age_s(event.timestamp)) for event in (*heartbeats, *_events(node)) if event.node != node.disk.node
        ]
    ahead = sorted({event.node for event, by_s in others if by_s > AHEAD_S_MAX})
    most_s = max((by_s for _, by_s in others), default=0.0)
    newest = {event.node: -by_s for event, by_s in others}
    if ahead:
        whose = "this clock is slow, or theirs are fast" if len(ahead) > 1 else "one of the two clocks is wrong"
        yield DoctorFinding(
            "clock",
            WARN,
            f"events of {', '.join(ahead[:5])} are dated up to {times.roughly(most_s)} in the future: {whose}",
            "set the clock by the network's time; the order of events and elections do not depend on it",
        )
    elif not newest:
        yield DoctorFinding("clock", OK, "no other node has written anything to compare with")
    else:
        middle_s = statistics.median(newest.values())
        yield DoctorFinding(
            "clock",
            OK,
            f"agrees with {len(newest)} other nodes: their newest events are {times.roughly(middle_s)} old (median)",
        )


def _events(node: Node) -> Sequence[Event]:
    return [
        event
        for _, event in node.events(max(0, node.fleet.position - EVENTS_READ_MAX))
        if event.seq is not None and "source" not in event.data
    ]


def _heartbeats(node: Node, ctx: DoctorContext) -> list[Event]:
    """Return the heartbeats in the outboxes of the last sync. Nothing is fetched: nothing is changed here."""
    boxes = [oid for ref, oid in (ctx.refs or {}).items() if ref.startswith(ctx.outbox_prefix)]
    return [heartbeat for oid in boxes[:OUTBOXES_READ_MAX] for heartbeat in outbox.read(node.store, oid).heartbeats]


def _profile(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    assert ctx.config is not None and ctx.common is not None
    name = ctx.config.profile or ""
    if not name:
        with open_node(ctx.path) as node:
            name = node.local.profile.name
    fitting = profile_for(ctx.common, ctx.config.remote)
    if fitting == "github" and name != "github":
        yield DoctorFinding(
            "profile",
            WARN,
            f"{name}, on a forge that asks for at most 6 pushes a minute",
            "run `gitcoord config set profile github`",
        )
    elif fitting == "local" and name == "github":
        yield DoctorFinding(
            "profile", OK, "github: slower than a remote on this machine needs (a failover takes 110 s)"
        )
    else:
        yield DoctorFinding("profile", OK, name)


CHECKS: dict[str, Check] = {"agent": _identity, "clock": _clock, "profile": _profile}
