"""Moving: an admin takes the fleet to another remote, with its ledger, ids and order; other clones follow."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass

from pydantic import ValidationError

from gitcoord.core.errors import BadCredentials, Denied, GitcoordError, Refused, Unreachable
from gitcoord.core.fold.moves import FleetMoved
from gitcoord.core.format.event import Draft
from gitcoord.core.ports import PushOutcome
from gitcoord.node.config import variable
from gitcoord.node.membership.founding import try_namespace
from gitcoord.node.membership.shared_remote import absolute_remote, profile_for
from gitcoord.node.node import Node
from gitcoord.node.operations import submit
from gitcoord.node.remotes import relocation
from gitcoord.store.git.url import without_secret

CONFIRM_S = 120.0


@dataclass(frozen=True, slots=True)
class MovePlan:
    """A move: the remote as this clone's configuration is to name it, its address for all, timings that fit there."""

    remote: str
    to: str
    profile: str
    actor: str
    is_begun: bool  # somebody began it before: the line that leaves is in the ledger

    def draft(self, node: Node) -> Draft:
        return node.draft(
            "fleet_moved",
            f"{self.actor} moves the fleet to {self.to}",
            actor=self.actor,
            data={"to": self.to, "profile": self.profile},
        )


def planned(node: Node, remote: str, *, actor: str) -> MovePlan:
    """Return the move to `remote`, if it may be made. Raise Refused, or what a look at a remote raises."""
    if os.environ.get(variable("remote"), "").strip():
        raise Refused(f"{variable('remote')} names the remote of every command here: unset it, then try again")
    common = node.home.path.parent
    found = without_secret(absolute_remote(common, remote) or "")
    to = without_secret(relocation.url_of(node, found))
    profile, move = profile_for(common, found), node.fleet.moves
    try:
        FleetMoved(to=to, profile=profile)  # type: ignore[arg-type]  # one of the names of the profiles
    except ValidationError:
        raise Refused(
            f"{to!r} is no address to which a fleet can move: give a remote of this clone (`git remote -v`), an https "
            "or ssh URL without a login, host:path, or a folder"
        ) from None
    is_begun = move.under_way and move.to == to
    if move.under_way and not is_begun:
        raise Refused(f"{move.by} is moving the fleet to {move.to}: run `gitcoord move {move.to}` to end that first")
    if to == relocation.url_of(node, node.config.remote) and not is_begun:
        raise Refused(f"the fleet is at {to} already")
    submit.check_right(node, actor, "fleet_moved", re=None, data={"to": to, "profile": profile})
    return MovePlan(found, to, profile, actor, is_begun)


def try_out(node: Node, plan: MovePlan) -> None:
    """Bring the ledger to the new remote BEFORE the old one is left: whatever that refuses, nothing has changed."""
    relocation.ledger_at(node, plan.remote)
    with closing(node.store.beside(relocation.url_of(node, plan.remote))) as there:
        answer = try_namespace(there, node.config.namespace)
    if answer.reason.startswith("credentials:"):
        raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
    if answer.outcome is PushOutcome.DENIED:
        raise Denied(f"{plan.to} takes no refs below {node.config.namespace}, which this fleet has: {answer.reason}")
    if answer.outcome is not PushOutcome.ACCEPTED:
        raise Unreachable(f"{plan.to}: {answer.reason or 'no answer'}")
    relocation.copy(node, plan.remote)


def move(node: Node, plan: MovePlan) -> None:
    """Move the fleet. If this process is killed, the next round of any process of this clone goes on with it."""
    node.check(plan.draft(node))  # BEFORE anything is done: a text that looks like a secret is refused
    if node.home.config().moved != node.fleet.moves.uid or not plan.is_begun:
        try_out(node, plan)
    relocation.save_journal(node.home.path, relocation.Journal(plan.remote, plan.to, plan.actor))
    if not plan.is_begun:
        [event] = node.append(plan.draft(node))
        node.confirm(event, "sequenced", timeout_s=CONFIRM_S, urgent=True)
    node.sync()
    if node.fleet.moves.under_way:
        raise Unreachable(f"the fleet is on its way to {plan.to}: run `gitcoord move {plan.to}` again to end that")


def cancel(node: Node, *, actor: str, force: bool) -> str:
    """Open the ledger again where it is, instead of at the remote to which somebody began to move it. Return that one.

    Unless `force`, that one is looked at: where the fleet has arrived, two ledgers would go on. Raise Refused for that.
    """
    move, old = node.fleet.moves, node.config.remote
    check_cancel(node, actor=actor)
    if not force:
        try:
            found = relocation.ledger_at(node, move.to)
        except GitcoordError as wrong:
            raise Refused(
                f"whether the fleet has arrived at {move.to} cannot be seen ({wrong}): give --force if you know that "
                "it has not, or if nobody should go there"
            ) from None
        if found is not None and found.goes_on:
            raise Refused(f"the fleet has arrived at {move.to}: run `gitcoord move --follow`, and then move it again")
    with node.home.sync_lock:
        relocation.forget_journal(node.home.path)
        [event] = node.append(
            node.draft("fleet_arrived", f"{actor} keeps the fleet at its remote", actor=actor, re=move.uid)
        )
    node.confirm(event, "sequenced", timeout_s=CONFIRM_S, urgent=True)
    return old


def sync_here(node: Node) -> None:
    """Do one round that does not go on with a move which began in this clone."""
    with relocation.alone(node):
        node.sync()


def check_cancel(node: Node, *, actor: str) -> None:
    """Raise Refused if there is nothing that `actor` may cancel here."""
    move = node.fleet.moves
    if not move.under_way:
        raise Refused("no move is under way")
    if node.home.config().moved == move.uid:
        raise Refused(f"this clone is at {move.to} already: run `gitcoord move {move.to}` to end the move")
    submit.check_right(node, actor, "fleet_arrived", re=move.uid, data={})


def follow(node: Node, remote: str | None) -> str:
    """Go on where the fleet moved, by its address or by another name for it. Return the remote."""
    move = node.fleet.moves
    if not move.uid or not remote and (not move.under_way or node.home.config().moved == move.uid):
        raise Refused("no move is known here that this clone has not followed: `gitcoord sync` looks for one")
    if not remote and relocation.sends_token(relocation.url_of(node, node.config.remote), move.to):
        raise Refused(
            f"the token in GITCOORD_TOKEN would go to another server: unset it, or run `gitcoord move --follow "
            f"{move.to}` if it is meant for that one too"
        )
    wanted = absolute_remote(node.home.path.parent, remote) if remote else move.to
    found = without_secret(wanted or "")
    relocation.follow(node, found)
    return found
