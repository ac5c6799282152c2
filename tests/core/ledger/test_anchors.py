"""Anchors: what a newcomer of a closed fleet believes of a checkpoint, with and without being given one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitcoord.core.errors import Corrupt, Refused
from gitcoord.core.format.event import Draft, Head, seal
from gitcoord.core.format.keys import fingerprint
from gitcoord.core.ledger import anchors, checkpoint
from gitcoord.core.ledger.anchors import Anchors
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.round.replica import advance_to
from tests.core.driver import FLEET, World, replica_of
from tests.core.ledger.test_branch import commit_of, history
from tests.core.ledger.test_checkpoint import put, signed, written
from tests.core.lines import signer_of

FOUNDER = fingerprint(signer_of("founder").key)


def a_ledger(*, closed: bool = True) -> tuple[World, LedgerBranch, dict[str, Any]]:
    """A ledger that founder leads, with a checkpoint of its newest position, and that one's value."""
    world, branch, _ = history(0)
    election = seal(
        Draft(
            "founder",
            "leader_election",
            "",
            world.wall(),
            world.uid(),
            term=1,
            data={"session": "s", "after": branch.fleet.digest},
        ),
        node="n-1",
        after=None,
        signer=signer_of("founder"),
        fleet=FLEET,
    )
    branch.apply_commit(commit_of(world, branch, [election.line]))
    head = Head()
    notes: list[tuple[str, dict[str, str]]] = [("note", {})] * 20
    said = [("admission_changed", {"admission": "closed" if closed else "open"}), *notes]
    for type_, data in said:
        event = seal(
            Draft("founder", type_, "", world.wall(), world.uid(), data=data),
            node="n-1",
            after=head,
            signer=signer_of("founder"),
            fleet=FLEET,
        )
        head = event.head
        branch.apply_commit(commit_of(world, branch, [event.line]))
    sealed = signed(checkpoint.write(branch), branch.fleet.position)
    put(world, sealed)
    return world, branch, json.loads(sealed)


def newcomer(world: World, given: Anchors = Anchors()) -> LedgerBranch:
    world.god.fetch()
    replica = replica_of(world.god, world, lambda: 0.0)
    replica.anchors = given
    advance_to(replica, world.tip or "")
    return replica.branch


def with_mallory(value: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint's value with mallory as an admin, who is in no line of the log."""
    founder = value["members"]["members"][0]
    key = signer_of("mallory").key
    mallory = ["mallory", key, *founder[2:]]
    members = value["members"] | {
        "members": [founder, mallory],
        "owners": value["members"]["owners"] | {key: "mallory"},
    }
    return value | {"members": members}


def digest_at(branch: LedgerBranch, position: int) -> str:
    fleet = branch.fleet.anew()
    read = branch.line_at()
    for at in range(1, position + 1):
        fleet.append(read(at))
    return fleet.digest


def test_in_a_closed_fleet_a_newcomer_without_an_anchor_folds_every_line() -> None:
    world, branch, value = a_ledger()
    found = newcomer(world)
    assert not found.checkpoint_position and found.fleet.dump() == branch.fleet.dump() and not found.bad
    put(world, written(with_mallory(value), value["position"]))
    assert newcomer(world).fleet.members.get("mallory") is None


@pytest.mark.parametrize("closed", [True, False])
def test_with_the_founders_key_a_newcomer_believes_no_other_members_roles_or_keys(closed: bool) -> None:
    world, branch, value = a_ledger(closed=closed)
    given = Anchors(frozenset({FOUNDER}))
    assert newcomer(world, given).checkpoint_position == branch.fleet.position
    put(world, written(with_mallory(value), value["position"]))
    found = newcomer(world, given)
    assert not found.checkpoint_position and found.fleet.members.get("mallory") is None
    assert ["other members, roles or keys" in bad.reason for bad in found.bad] == [True]


def test_a_term_that_nobody_won_in_the_log_seals_no_checkpoint_that_is_believed() -> None:
    world, branch, value = a_ledger()
    forged = value | {"terms": value["terms"] | {"term": 2, "highest": 2}}
    forged.pop("signed")
    body = json.dumps(forged, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    put(world, signed(body, value["position"], term=2))
    found = newcomer(world, Anchors(founders=frozenset({FOUNDER})))
    assert not found.checkpoint_position and found.fleet.terms.term == 1
    assert any("it has another leader" in bad.reason for bad in found.bad)


def test_in_an_open_fleet_without_an_anchor_a_newcomer_takes_members_on_trust() -> None:
    """Not promised (docs/threat-model.md): whoever has been there, and `verify`, finds it out."""
    world, _, value = a_ledger(closed=False)
    put(world, written(with_mallory(value), value["position"]))
    assert newcomer(world).fleet.members.get("mallory") is not None


def test_a_ledger_of_another_founder_or_digest_is_refused() -> None:
    world, branch, _ = a_ledger()
    read = branch.line_at()
    lines = [read(position) for position in range(1, branch.fleet.position + 1)]
    anchors.check(Anchors(frozenset({FOUNDER}), ((9, digest_at(branch, 9)),)), lines)
    other = fingerprint(signer_of("mallory").key)
    for given, why in (
        (Anchors(frozenset({other})), "another fleet"),
        (Anchors(digests=((8, digest_at(branch, 9)),)), "this is another ledger"),
        (Anchors(digests=((900, digest_at(branch, 9)),)), "set it back"),
    ):
        with pytest.raises(Corrupt, match=why):
            anchors.check(given, lines)
        with pytest.raises(Corrupt, match=why):
            newcomer(world, given)


def test_what_is_no_anchor_is_refused_with_where_to_find_one() -> None:
    given = anchors.read(f"{FOUNDER}, 12:{'A' * 43}")
    assert given == Anchors(frozenset({FOUNDER}), ((12, "A" * 43),)) and not anchors.read(" ")
    for text in ("0:" + "A" * 43, "12:short", "founder", FOUNDER[:-1]):
        with pytest.raises(Refused, match="gitcoord status"):
            anchors.read(text)
