"""Account proofs in a pull request: an agent's signed statement, posted by the account that it claims."""

from __future__ import annotations

from collections.abc import Iterator

from gitcoord.core.commands import NewEvent
from gitcoord.core.fold.account_proof import AccountProof, found_in
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import PullRequest
from gitcoord.github.fleet_context import FleetContext


def shown(client: Client, pull: PullRequest, fleet: FleetContext) -> tuple[AccountProof, ...]:
    """Return the valid proofs in the pull request's body and comments. Ask GitHub only if a claim waits for a proof."""
    if not fleet.claims:
        return ()
    posted = [(pull.author, pull.body), *((one.author, one.body) for one in client.comments(pull.number))]
    found = {
        proof.agent: proof
        for author, text in posted
        for proof in found_in(text)
        if _is_valid(proof, author, client.repository, fleet)
    }
    return tuple(found.values())


def _is_valid(proof: AccountProof, author: str, repository: str, fleet: FleetContext) -> bool:
    claim = fleet.claims.get(proof.agent)
    return (
        claim is not None
        and proof.fleet_id == fleet.fleet_id
        and proof.login.casefold() == author.casefold() == claim.login.casefold()
        and proof.repository.casefold() == repository.casefold()
        and proof.is_by(claim.key)
    )


def proposals(proofs: tuple[AccountProof, ...]) -> Iterator[NewEvent]:
    """Yield the events that record the proofs. The fold checks each signature again."""
    for one in proofs:
        yield NewEvent(
            "github_confirmed",
            f"{one.agent} is {one.login} on GitHub, as both confirm",
            {"agent": one.agent, "login": one.login, "repository": one.repository, "proof": one.signature},
        )
