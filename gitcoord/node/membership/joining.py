"""Joining: an agent becomes a member under a free name, with a key that this node keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from gitcoord.core.errors import Lost, Refused, Unreachable
from gitcoord.core.format.event import Draft
from gitcoord.node import trust
from gitcoord.node.keyring import ensure_key, seed_from_text, seed_of
from gitcoord.node.membership.founding import InitRequest
from gitcoord.node.node import Node
from gitcoord.store.home.locks import LockHeld


def ensure_member(node: Node, request: InitRequest, messages: list[str]) -> bool:
    """Make the agent a member unless it is one. Its key is made here, or comes from `--key` or the environment.

    Return True if it joins now. Raise Refused if the name is another agent's; then no key was made for it here.
    """
    agent = request.agent
    try:
        node.sync()
    except (Unreachable, Lost, LockHeld):
        if not is_known(node, agent):  # a known agent can write to the queue during an outage
            raise
    _claim_name(node, request)
    joins = drafts(node, [agent])
    if joins:
        node.append(*joins)
        messages.append(f"{agent} joins from node {node.disk.node}")
        with contextlib.suppress(Unreachable, Lost, LockHeld):  # it is queued
            node.sync()
        check_name(node, agent)  # another agent may have taken it meanwhile
    _keep_choices(node, agent, messages, joins=bool(joins))
    if messages:
        messages.append(
            f"trusts the fleet that was founded with the key {trust.founder_of(node.fleet)}, and whose "
            f"log is {trust.newest_of(node.fleet)}: set GITCOORD_TRUST to one of the two where other clones join"
        )
    return bool(joins)


def drafts(node: Node, agents: Sequence[str]) -> list[Draft]:
    """Return drafts of the events by which the agents join, without those that are members or about to join."""
    members, joining = node.fleet.members, {one.actor for one in node.disk.pending() if one.type == "agent_joined"}
    lacking = [one for one in agents if ((member := members.get(one)) is None or member.left) and one not in joining]
    return [node.draft("agent_joined", f"{one} joins", actor=one) for one in lacking]


def join(node: Node, agents: Sequence[str]) -> dict[str, Refused]:
    """Make agents members with one push. Their names have been checked, and their keys are made here.

    Return by agent why its name was refused, if another agent took it meanwhile; its key is not kept here.
    """
    made = [one for one in agents if node.config.auth != "hmac" and seed_of(node.home, one) is None]
    for agent in agents:
        ensure_key(node.home, node.config.auth, agent)
    joins = drafts(node, agents)
    if joins:
        node.append(*joins)
        with contextlib.suppress(Unreachable, Lost, LockHeld):  # it is queued
            node.sync()
    lost: dict[str, Refused] = {}
    for agent in agents:
        try:
            check_name(node, agent)
        except Refused as wrong:
            lost[agent] = wrong
            if agent in made:
                node.home.keys.path(agent).unlink(missing_ok=True)
    return lost


def is_known(node: Node, agent: str) -> bool:
    """Return whether the agent is a member, or its joining is in this node's queue."""
    joining = any(e.type == "agent_joined" and e.actor == agent for e in node.disk.pending())
    return joining or node.fleet.members.get(agent) is not None


def _claim_name(node: Node, request: InitRequest) -> None:
    added = _keep_given_key(node, request)
    try:
        check_name(node, request.agent)
    except Refused:
        if added:
            node.home.keys.path(request.agent).unlink()
        raise
    ensure_key(node.home, node.config.auth, request.agent)


def _keep_given_key(node: Node, request: InitRequest) -> bool:
    """Store the key of `--key` in the home. Return True if it was not there before. Raise Refused if another one is."""
    if request.key is None:
        return False
    if node.config.auth == "hmac":
        raise Refused("all agents of this fleet sign with one secret, GITCOORD_HMAC_KEY: leave out --key")
    try:
        seed = seed_from_text(node.home.keys.content(request.key).decode("ascii", "replace").strip(), str(request.key))
    except OSError as wrong:
        raise Refused(f"--key {request.key}: {wrong.strerror}") from None
    known = node.home.keys.seed(request.agent)
    if known not in (None, seed):
        raise Refused(
            f"another key of {request.agent} is here, in {node.home.keys.path(request.agent)}: leave out --key to use "
            "that one, or move it away"
        )
    if known is None:
        node.home.keys.make()
        node.home.keys.save(request.agent, seed)
    return known is None


def check_name(node: Node, agent: str) -> None:
    """Raise Refused if the name is that of a member whose key is not here, or is easily confused with a member's."""
    member = node.fleet.members.get(agent)
    if member is None:
        other = None if agent.casefold() in node.fleet.members.expected else node.fleet.members.taken_for(agent)
        if other is not None:
            raise Refused(
                f"{agent} looks like {other}: choose another name, or let an admin admit it first "
                f"(`gitcoord agent admit '{agent}' --key FINGERPRINT`)"
            )
        return
    has_key = node.config.auth == "hmac" or seed_of(node.home, agent) is not None
    if not has_key or node.keyring.signer(agent).key != member.key:
        raise Refused(
            f"{member.id} is in this fleet already, with another key: choose another name, or pass its key "
            "(--key FILE, or GITCOORD_AGENT and GITCOORD_KEY)"
        )
    if member.id != agent:
        raise Refused(f"the agent is called {member.id} in this fleet: use that name")


def _keep_choices(node: Node, agent: str, messages: list[str], *, joins: bool) -> None:
    """Store which agent writes here by default, and which fleet is trusted. A linked work tree has its own agent."""
    own = node.home.config()
    chosen, trusted = own.agent, own.trust or trust.founder_of(node.fleet)
    if node.home.worktree is not None:
        if node.home.worktree_agent != agent:
            node.home.save_worktree_agent(agent)
            messages.append(f"{agent} writes in this work tree")
        node.config.agent = agent
    elif chosen is None:
        chosen = node.config.agent = agent
    elif chosen != agent and joins:
        messages.append(f"{chosen} stays the agent of this clone: `--as {agent}` or GITCOORD_AGENT chooses {agent}")
    if (chosen, trusted) != (own.agent, own.trust):
        own.agent, own.trust = chosen, trusted
        node.home.save_config(own)
        node.config.trust = trusted
