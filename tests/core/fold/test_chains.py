"""Only who has a node's key, and those for whom it vouched, take places in the node's chain: not even the first."""

from __future__ import annotations

import pytest

from gitcoord.core import limits
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Chains, Inadmissible, Sealing
from gitcoord.core.format.event import Head, Signer
from gitcoord.core.format.keys import HmacSigner, Verifier
from gitcoord.core.format.vouches import node_id, vouch
from gitcoord.core.names import node_tag
from gitcoord.features import FEATURES
from tests.core.lines import Story, draft, signer_of

NODE_KEY = signer_of("the laptop")
NODE = node_id("laptop", NODE_KEY.key)


def node_signer(node: str) -> Signer:
    assert node == NODE
    return NODE_KEY


def sealing(story: Story, *, after: Head = Head(), keys: tuple[str, ...] = ()) -> Sealing:
    return Sealing(NODE, after, keys, signer=signer_of, node_signer=node_signer, fleet=story.fleet.id or "")


def test_the_first_line_of_each_key_has_the_nodes_vouch_and_no_other() -> None:
    story = Story().founded().joined("bob")
    seal = sealing(story)
    events = [
        seal(draft(actor, "note", uid=f"{number:a>16}"))
        for number, actor in enumerate(["alice", "alice", "bob", "alice", "bob"])
    ]
    assert [event.vouch is not None for event in events] == [True, False, True, False, False]
    for event in events:
        assert story.fleet.append(event.line).void is None
    assert story.fleet.chains.keys == {NODE: {signer_of("alice").key, signer_of("bob").key}}
    again = FleetState.load(story.fleet.dump(), FEATURES, Verifier())
    assert again.chains.dump() == story.fleet.chains.dump()
    assert again.append(seal(draft("bob", "note", uid="z" * 16)).line).void is None


@pytest.mark.parametrize("place", ["the first", "the next"])
@pytest.mark.parametrize("voucher", ["nobody", "the liar", "another node", "the node for another key"])
def test_nobody_else_takes_a_place_in_a_chain(place: str, voucher: str) -> None:
    story = Story().founded().joined("bob", "mallory")
    seal = sealing(story)
    if place == "the next":
        story.fleet.append(seal(draft("bob", "note", uid="1" * 16)).line)
    fleet, liar = story.fleet.id or "", signer_of("mallory")
    vouched = {
        "nobody": None,
        "the liar": vouch(liar, NODE, liar.key, fleet),
        "another node": vouch(signer_of("another"), NODE, liar.key, fleet),
        "the node for another key": vouch(NODE_KEY, NODE, signer_of("bob").key, fleet),
    }[voucher]
    for actor in ("mallory", "bob"):
        taken = story.sealed(actor, "note", node=NODE, after=seal.head, signer=liar, vouch=vouched)
        with pytest.raises(Inadmissible, match="vouch"):
            story.fleet.append(taken.line)
    assert story.fleet.append(seal(draft("bob", "note", uid="2" * 16)).line).void is None


def test_a_vouch_is_good_for_one_fleet_and_one_node() -> None:
    story, key = Story().founded(), signer_of("alice").key
    for node, fleet in ((NODE, "anotherfleet"), (node_id("desktop", NODE_KEY.key), story.fleet.id or "")):
        event = story.sealed("alice", "note", node=NODE, after=Head(), vouch=vouch(NODE_KEY, node, key, fleet))
        with pytest.raises(Inadmissible, match="vouch"):
            story.fleet.append(event.line)


def test_a_vouch_is_checked_also_where_agents_share_a_secret() -> None:
    shared = HmacSigner(b"0123456789abcdef")
    fleet = FleetState(FEATURES, Verifier("hmac", shared))
    seal = Sealing(NODE, Head(), (), signer=lambda agent: shared, node_signer=node_signer, fleet="f")
    event = seal(draft("alice", "note"))
    assert fleet.verifier is not None and fleet.verifier.rejects(event, "f") is None
    assert fleet.verifier.rejects(event._replace(vouch=vouch(signer_of("x"), NODE, shared.key, "f")), "f")


def test_a_void_line_also_goes_on_in_its_chain_and_makes_its_key_known() -> None:
    story = Story().founded(admission="closed")
    seal = sealing(story)
    assert story.fleet.append(seal(draft("bob", "note", uid="1" * 16)).line).void
    assert story.fleet.append(seal(draft("bob", "note", uid="2" * 16)).line).void
    assert story.fleet.heads[NODE].seq == 2


def test_a_node_has_so_many_keys_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NODE_KEYS_MAX", 2)
    story = Story().founded().joined("bob", "carol")
    seal = sealing(story)
    for number, actor in enumerate(["alice", "bob", "alice"]):
        story.fleet.append(seal(draft(actor, "note", uid=f"{number:a>16}")).line)
    with pytest.raises(Inadmissible, match="more than 2 keys"):
        story.fleet.append(seal(draft("carol", "note", uid="c" * 16)).line)


def test_a_fork_of_chains_changes_nothing_in_them() -> None:
    story = Story().founded()
    chains: Chains = story.fleet.chains
    fork = chains.fork()
    fork.take(sealing(story)(draft("alice", "note")))
    assert NODE in fork.heads and NODE in fork.keys
    assert NODE not in chains.heads and NODE not in chains.keys


def test_an_id_without_a_tag_belongs_to_nobody() -> None:
    assert node_tag("laptop-3f9a") is None and node_tag("founder-0") is None and node_tag("x" * 16) is None
    assert node_tag(NODE) is not None
