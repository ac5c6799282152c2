"""The session of a simulated machine's agent, started as in `node/agent/sessions.py`: only one runs at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gitcoord.core.leadership.session import Session
from gitcoord.node.agent import sessions
from gitcoord.simulation.machine import Machine, Patience

if TYPE_CHECKING:
    from gitcoord.node.node import Node


def take(machine: Machine) -> None:
    """Start the session of the machine's agent if no other run of it is alive. Call it after each round until then."""
    if not machine.runs:
        machine.seated = True
        return
    terms = machine.replica.branch.fleet.terms
    others = sessions.elsewhere(cast("Node", machine), machine.agent)
    if others and not _waited(machine, others):
        return
    session = Session(
        machine.agent,
        machine.rng.randbytes(6).hex(),
        machine.world.signers.of(machine.agent),
        may_lead=machine.may_lead,
    )
    here = terms.leader == machine.agent and terms.node == machine.disk.node
    if here or terms.session in {data["session"] for data in others.values()}:
        session.replaces_session = terms.session
    machine.local.sessions.append(session)
    machine.seated = True


def _waited(machine: Machine, others: Any) -> bool:
    now = machine.local_s()
    counts = {node: (data["session"], data["n"]) for node, data in others.items()}
    if machine.patience is None or machine.patience.counts != counts:
        longest = max(float(data.get("next_s") or 1) for data in others.values())
        machine.patience = Patience(now + 2 * longest + machine.world.profile.poll_s, counts)
    machine.patience.polls += 1
    return now >= machine.patience.until_s and machine.patience.polls >= 3
