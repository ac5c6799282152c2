"""The proof that an account on GitHub is an agent's, signed with the agent's key on this node."""

from __future__ import annotations

import dataclasses

from gitcoord.core.errors import Refused
from gitcoord.core.fold.account_proof import AccountProof
from gitcoord.node.node import Node


def make(node: Node, agent: str, repository: str) -> AccountProof:
    """Return the proof of the account that the agent claims. Raise Refused if no proof would count."""
    if node.config.auth == "hmac":
        raise Refused(
            "all agents of this fleet share one secret, so no signature shows which agent made it: ask an admin to "
            f"run `gitcoord agent confirm '{agent}' --github LOGIN`"
        )
    signer = node.keyring.signer(agent)
    member = node.fleet.members.get(agent)
    claim = member.claim if member is not None else ""
    for event in node.disk.pending():
        if event.type == "github_claimed" and event.actor.casefold() == agent.casefold():
            claim = str(event.data.get("login", ""))
    if not claim:
        raise Refused(
            f"{agent} has not claimed an account on GitHub: run `gitcoord agent set --github LOGIN`, "
            "then run this command again"
        )
    proof = AccountProof(node.config.fleet_id, member.id if member is not None else agent, claim, repository)
    return dataclasses.replace(proof, signature=signer.sign(proof.message))
