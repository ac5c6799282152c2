"""Members and terms: whose word counts, and who leads, by nothing but the order of the ledger."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import limits, rights
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.fold.members import Members
from gitcoord.core.fold.terms import Terms
from gitcoord.core.format.keys import fingerprint, possession
from tests.core.lines import FLEET, Story, signer_of

# Members


def test_the_founder_is_a_member_and_admin() -> None:
    members = Story().founded("alice").fleet.members
    alice = members.get("ALICE")
    assert alice is not None and alice.admitted and alice.admin and alice.key == signer_of("alice").key


def test_an_open_fleet_trusts_a_key_on_first_use_and_no_other_afterwards() -> None:
    story = Story().founded()
    assert story.say("bob", "note").void == "bob has not joined"
    assert story.say("bob", "agent_joined").void is None
    assert story.say("bob", "note").void is None
    assert story.say("bob", "note", signer=signer_of("mallory"), node="m").void == "signed by a key that is not bob's"
    assert story.say("BOB", "note", signer=signer_of("bob"), node="m").void == "the agent is called bob"
    assert story.say("Bob", "agent_joined", node="b2").void == "signed by a key that is not bob's"


def test_a_closed_fleet_ignores_who_was_not_admitted_by_an_admin() -> None:
    story = Story().founded(admission="closed")
    story.say("bob", "agent_joined")
    story.say("carol", "agent_joined")
    bob, carol = (signer_of(agent).key for agent in ("bob", "carol"))
    waits = f"bob waits to be admitted: its key is {fingerprint(bob)}"
    assert story.say("bob", "note").void == waits
    assert story.say("bob", "agent_admitted", data={"agent": "bob", "key": bob}).void == waits
    assert story.say("alice", "agent_admitted", data={"agent": "BOB", "key": bob}).void is None
    assert story.say("bob", "note").void is None
    admits = {"agent": "carol", "key": fingerprint(carol)}
    assert "only an admin may" in str(story.say("bob", "agent_admitted", data=admits).void)
    story.say("alice", "role_changed", data={"agent": "bob", "role": "admin"})
    assert story.say("bob", "agent_admitted", data=admits).void is None
    assert story.say("carol", "note").void is None


def test_a_name_that_looks_like_a_known_one_joins_only_when_an_admin_admits_it() -> None:
    story = Story().founded("alice").joined("carol")
    for name, other in (
        ("aIice", "alice"),
        ("caro1", "carol"),
        ("a11", "all"),
        ("Leader", "leader"),
        ("cAro1", "carol"),
    ):
        assert story.say(name, "agent_joined", node=f"n-{name.lower()}").void == (
            f"{name} looks like {other}: an admin has to admit it first (`gitcoord agent admit`)"
        )
        assert f"{name} has not joined" in str(story.say(name, "note", node=f"n-{name.lower()}").void)
    key = signer_of("caro1").key
    assert story.say("alice", "agent_admitted", data={"agent": "caro1", "key": key}).void is None
    assert story.say("caro1", "agent_joined", node="n-caro1").void is None
    again = type(story.fleet.members).load(json.loads(json.dumps(story.fleet.members.dump())))
    assert again.looks == story.fleet.members.looks and again.taken_for("caroI") == "carol"


def test_an_admin_closes_the_fleet_and_nobody_else_does() -> None:
    story = Story().founded()
    story.say("bob", "agent_joined")
    assert story.say("bob", "admission_changed", data={"admission": "closed"}).void == (
        "bob (member) may not write admission_changed: only an admin may"
    )
    assert story.say("alice", "admission_changed", data={"admission": "closed"}).void is None
    story.say("carol", "agent_joined")
    assert "carol waits to be admitted" in str(story.say("carol", "note").void)
    story.say("alice", "admission_changed", data={"admission": "open"})
    story.say("dan", "agent_joined")
    assert story.say("dan", "note").void is None


def test_a_key_is_changed_by_the_old_one_and_the_new_one_proves_that_it_is_held() -> None:
    story = Story().founded().joined("bob")
    new = signer_of("alice's new key")
    change = {"key": new.key, "proof": new.sign(possession(FLEET, "alice", signer_of("alice").key, new.key))}
    assert story.say("alice", "key_changed", data=change, signer=new, node="m").void is not None
    for proof in (
        "",
        change["proof"][::-1],
        new.sign(possession(FLEET, "bob", signer_of("alice").key, new.key)),
        new.sign(possession("otherfleet", "alice", signer_of("alice").key, new.key)),
        new.sign(possession(FLEET, "alice", signer_of("bob").key, new.key)),
    ):
        void = story.say("alice", "key_changed", data={**change, "proof": proof}).void
        assert "has not signed the change" in str(void)
    assert story.say("alice", "key_changed", data=change).void is None
    assert story.say("alice", "note").void == "signed by a key that is not alice's"
    assert story.say("alice", "note", signer=new).void is None


def test_a_name_stays_its_owners_after_leaving_and_may_come_back() -> None:
    story = Story().founded()
    story.say("bob", "agent_joined")
    story.say("bob", "agent_left")
    bob = story.fleet.members.get("bob")
    assert bob is not None and bob.left
    assert story.say("bob", "agent_joined", signer=signer_of("mallory"), node="m").void == (
        "signed by a key that is not bob's"
    )
    assert story.say("bob", "agent_joined").void is None and not bob.left


def test_who_left_speaks_as_a_guest_until_it_joins_again() -> None:
    """A note that was written before, on another clone, is not lost; nothing is bound by it."""
    story = Story().founded().joined("bob")
    assert story.say("alice", "role_changed", data={"agent": "bob", "role": "admin"}).void is None
    assert story.say("bob", "agent_left").void is None
    note, setting = story.say("bob", "note", "goodbye"), story.say("bob", "config_changed", data={"set": {"recent": 5}})
    assert (note.void, note.role) == (None, "guest")
    assert "`gitcoord init` joins again" in str(setting.void)
    assert not rights.may_lead(story.fleet, "bob") and story.elect("bob", 1).void is not None
    assert story.say("bob", "agent_joined").role == "admin"
    assert story.say("bob", "config_changed", data={"set": {"recent": 5}}).void is None


def test_whom_an_admin_lets_in_again_need_not_join_again() -> None:
    story = Story().founded().joined("bob")
    story.say("alice", "agent_expelled", data={"agent": "bob"})
    story.say("alice", "agent_admitted", data={"agent": "bob", "key": fingerprint(signer_of("bob").key)})
    assert story.say("bob", "note").role == "member"


def test_a_fleet_is_founded_once() -> None:
    story = Story().founded()
    with pytest.raises(ValueError, match="begins with fleet_founded, and has one"):
        story.control("bob", "fleet_founded", data={})


# Terms


def test_an_election_makes_a_leader_of_its_author() -> None:
    story = Story().founded()
    assert story.elect("alice", 1).void is None
    terms = story.fleet.terms
    assert (terms.term, terms.leader, terms.session, terms.since) == (1, "alice", "s-alice", 2)
    assert (terms.node, terms.reason) == ("node-alice", "nobody leads")


@pytest.mark.parametrize(
    "term, words",
    [
        (1, "is not above 1"),
        (0, "is not above 1"),
        (None, "is not above 1"),
        (2 + limits.TERM_JUMP_MAX, "too far above 1"),
    ],
)
def test_a_term_is_above_every_term_seen_but_not_by_much(term: int | None, words: str) -> None:
    story = Story().founded()
    story.elect("alice", 1)
    void = story.elect("alice", term).void  # type: ignore[arg-type]
    assert void is not None and words in void
    assert story.fleet.terms.leader == "alice" and story.fleet.terms.term == 1


def test_an_election_is_worth_nothing_elsewhere_than_right_after_what_it_names() -> None:
    story = Story().founded()
    after = story.fleet.digest
    story.say("alice", "note")
    with pytest.raises(Inadmissible, match="extends another log"):
        story.elect("alice", 1, after=after)
    assert story.fleet.terms.leader is None


def test_the_first_of_two_elections_wins() -> None:
    story = Story().founded()
    story.say("bob", "agent_joined")
    after = story.fleet.digest
    assert story.elect("bob", 1).void is None
    with pytest.raises(Inadmissible, match="extends another log"):
        story.elect("alice", 2, after=after)
    assert story.fleet.terms.leader == "bob"


def test_a_leaders_line_counts_in_its_own_term_only() -> None:
    story = Story().founded()
    story.say("bob", "agent_joined")
    story.elect("alice", 1)
    assert story.say("alice", "note", term=1).void is None
    assert story.say("bob", "note", term=1).void == "its term is 1, but here alice leads term 1"
    assert story.say("alice", "note", term=2).void == "its term is 2, but here alice leads term 1"
    story.elect("bob", 3)
    assert story.say("alice", "note", term=1).void == "its term is 1, but here bob leads term 3"
    assert "only the leader (by its term) may" in str(story.say("alice", "leader_resigned").void)
    assert story.fleet.terms.leader == "bob"


def test_renewals_and_lines_of_the_term_are_signs_of_life() -> None:
    story = Story().founded()
    story.elect("alice", 1)
    story.control("alice", "leader_renewed", term=1, data={"session": "s-alice", "after": story.fleet.digest})
    story.say("alice", "note", term=1)
    assert story.fleet.terms.leader_lines == 2
    with pytest.raises(Inadmissible, match="extends another log"):
        story.control("alice", "leader_renewed", term=1, data={"session": "s-alice", "after": "x"})


@pytest.mark.parametrize("type_, term", [("leader_resigned", 1), ("agent_left", None)])
def test_a_leader_that_goes_leaves_the_seat_empty(type_: str, term: int | None) -> None:
    story = Story().founded()
    story.elect("alice", 1)
    assert story.say("alice", type_, term=term).void is None
    assert story.fleet.terms.leader is None and story.fleet.terms.term == 1


LINES = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob"]), st.sampled_from(["elect", "note", "resign", "joined"]), st.integers(0, 8)
    ),
    max_size=25,
)


@given(LINES)
def test_whatever_is_said_terms_only_grow_and_each_has_one_leader(lines: list[tuple[str, str, int]]) -> None:
    story = Story().founded()
    leaders: dict[int, str] = {}
    before = 0
    for actor, what, term in lines:
        if what == "elect":
            story.elect(actor, term)
        elif what == "joined":
            story.say(actor, "agent_joined")
        else:
            story.say(actor, "leader_resigned" if what == "resign" else "note", term=term)
        terms = story.fleet.terms
        assert terms.term >= before and terms.highest >= terms.term
        before = terms.term
        if terms.leader is not None:
            assert leaders.setdefault(terms.term, terms.leader) == terms.leader
    assert Terms.load(story.fleet.terms.dump()) == story.fleet.terms
    assert Members.load(story.fleet.members.dump()) == story.fleet.members


def test_dumps_are_json_values() -> None:
    import json

    story = Story().founded()
    story.elect("alice", 1)
    value: Any = json.loads(json.dumps([story.fleet.terms.dump(), story.fleet.members.dump()]))
    assert Terms.load(value[0]) == story.fleet.terms and Members.load(value[1]) == story.fleet.members


def test_a_term_in_a_line_of_anybody_but_a_member_uses_no_number_up() -> None:
    story = Story().founded(admission="closed").joined("waiting")
    story.say("alice", "agent_admitted", data={"agent": "bob", "key": fingerprint(signer_of("bob").key)})
    story.say("bob", "agent_joined")
    for number in range(1, 4):
        story.say("stranger", "note", term=number * 900)
        story.say("waiting", "note", term=number * 900)
        story.say("bob", "note", term=number * 900, signer=signer_of("stranger"), node="m")
    assert story.fleet.terms.highest == 0
    story.say("bob", "note", term=900)
    assert story.fleet.terms.highest == 900, "a member's may be of a term that this ledger lost"
