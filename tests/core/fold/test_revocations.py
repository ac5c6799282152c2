"""Keys: one speaks for one agent, is bound when it is admitted, and counts for nothing once it is revoked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitcoord.core import limits
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Event, Head, seal
from gitcoord.core.format.keys import (
    Ed25519Signer,
    HmacSigner,
    Verifier,
    check_form,
    encode,
    fingerprint,
    is_named,
    possession,
)
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.names import uid_from
from gitcoord.features import FEATURES
from tests.core.driver import FLEET, World
from tests.core.ledger.test_branch import commit_of
from tests.core.lines import FLEET as STORY_FLEET
from tests.core.lines import NOW, Story, signer_of

# One key, one agent


def test_a_key_that_spoke_for_one_agent_is_taken_by_no_other() -> None:
    story = Story().founded("alice").joined("bob")
    bobs = signer_of("bob")
    assert story.say("mallory", "agent_joined", signer=bobs).void == "this key has spoken for bob: one key, one agent"
    change = {"key": bobs.key, "proof": bobs.sign(possession(STORY_FLEET, "alice", signer_of("alice").key, bobs.key))}
    assert story.say("alice", "key_changed", data=change).void == "this key has spoken for bob: one key, one agent"
    new = signer_of("bob's new key")
    story.say(
        "bob",
        "key_changed",
        data={"key": new.key, "proof": new.sign(possession(STORY_FLEET, "bob", bobs.key, new.key))},
    )
    assert "one key, one agent" in str(story.say("carol", "agent_joined", signer=bobs).void), "an old one neither"


def test_who_is_expelled_loses_its_role_and_who_is_awaited_is_awaited_no_more() -> None:
    story = Story().founded("alice", admission="closed")
    keys = {agent: fingerprint(signer_of(agent).key) for agent in ("bob", "carol", "dave")}
    for agent, role in (("bob", "admin"), ("carol", "guest"), ("dave", "admin")):
        story.say("alice", "agent_admitted", data={"agent": agent, "key": keys[agent], "role": role})
    story.joined("bob", "carol")
    for agent in keys:
        assert story.say("alice", "agent_expelled", data={"agent": agent}).void is None
    assert story.say("dave", "agent_joined").void is None and story.fleet.members.role_of("dave") is None
    for agent in ("bob", "carol"):
        story.say("alice", "agent_admitted", data={"agent": agent, "key": keys[agent]})
    assert [story.fleet.members.role_of(agent) for agent in ("bob", "carol")] == ["member", "guest"]
    assert "has not joined" in str(story.say("alice", "agent_expelled", data={"agent": "nobody"}).void)


def renew(story: Story, agent: str, old: Ed25519Signer, new: Ed25519Signer) -> str | None:
    proof = new.sign(possession(STORY_FLEET, agent, old.key, new.key))
    return story.say(agent, "key_changed", signer=old, data={"key": new.key, "proof": proof}).void


def test_an_agent_has_so_many_keys_for_none_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEYS_OF_ONE_MAX", 3)
    story = Story().founded("alice").joined("bob")
    signers = [signer_of("bob"), *(signer_of(f"bob's key {number}") for number in range(3))]
    assert [renew(story, "bob", *two) for two in zip(signers, signers[1 : 2 + 1])] == [None, None]
    assert "has had 3 keys" in str(renew(story, "bob", signers[2], signers[3]))
    story.fleet = FleetState.load(json.loads(json.dumps(story.fleet.dump())), FEATURES, Verifier())
    assert "has had 3 keys" in str(renew(story, "bob", signers[2], signers[3]))
    assert renew(story, "alice", signer_of("alice"), signers[3]) is None, "others are not concerned"


def test_who_may_not_revoke_makes_nobody_look_through_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger may write any number of such lines, and there may be very many keys."""
    monkeypatch.setattr("gitcoord.core.fold.members.Members.key_named", None)
    story = Story().founded("alice").joined("bob")
    for agent in ("bob", "stranger"):
        assert story.say(agent, "key_revoked", data={"key": fingerprint(signer_of("alice").key)}).void is not None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "A" * 43,
        encode(b"\x01" + bytes(31)),
        encode(bytes.fromhex("ec" + "ff" * 30 + "7f")),
        encode(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
        "hmac-12345678",
        signer_of("x").key[:-1] + chr(ord(signer_of("x").key[-1]) + 1),
    ],
    ids=["none", "short", "zero", "one", "minus_one", "order_8", "hmac", "other_spelling"],
)
def test_a_key_without_a_valid_form_is_no_key(key: str) -> None:
    story = Story().founded("alice")
    assert "cannot be one" in str(story.say("alice", "key_changed", data={"key": key, "proof": "x"}).void)
    with pytest.raises(ValueError):
        check_form(key)


def test_a_key_has_one_fingerprint_and_is_named_by_both() -> None:
    key = signer_of("alice").key
    check_form(key)
    assert fingerprint(key).startswith("SHA256:") and len(fingerprint(key)) == 50
    assert is_named(key, key) and is_named(key, fingerprint(key)) and not is_named(key, fingerprint(key + "A"))


# Admission binds a key


def test_an_agent_is_admitted_before_it_joins_and_only_with_the_key_that_was_named() -> None:
    story = Story().founded("alice", admission="closed")
    data = {"agent": "bob", "key": fingerprint(signer_of("bob").key), "role": "reviewer"}
    assert story.say("alice", "agent_admitted", data=data).void is None
    wrong = story.say("bob", "agent_joined", signer=signer_of("mallory"), node="m").void
    assert wrong is not None and wrong.startswith("bob is admitted with the key SHA256:")
    assert story.say("bob", "agent_joined").void is None
    bob = story.fleet.members.get("bob")
    assert bob is not None and bob.admitted and bob.role == "reviewer"


def test_who_took_a_name_first_does_not_keep_it_from_the_one_that_is_admitted() -> None:
    story = Story().founded("alice", admission="closed")
    story.say("bob", "agent_joined", signer=signer_of("mallory"), node="m")
    story.say("alice", "agent_admitted", data={"agent": "bob", "key": signer_of("bob").key})
    assert "waits to be admitted" in str(story.say("bob", "note", signer=signer_of("mallory"), node="m").void)
    assert story.say("bob", "agent_joined").void is None and story.say("bob", "note").void is None
    assert story.say("bob", "note", signer=signer_of("mallory"), node="m").void == "signed by a key that is not bob's"


def test_a_member_keeps_its_key_whatever_is_admitted_under_its_name() -> None:
    story = Story().founded("alice").joined("bob")
    data = {"agent": "bob", "key": signer_of("mallory").key}
    assert "the key of bob is SHA256:" in str(story.say("alice", "agent_admitted", data=data).void)


def test_newcomers_have_the_role_of_the_setting() -> None:
    story = Story().founded("alice")
    story.say("alice", "config_changed", data={"set": {"newcomers": "guest"}})
    story.joined("bob")
    assert "bob (guest) may not write task_created" in str(story.say("bob", "task_created", data={"title": "T"}).void)
    story.say("alice", "role_changed", data={"agent": "bob", "role": "member"})
    assert story.say("bob", "task_created", data={"title": "T"}).void is None


# A fleet keeps an admin


@pytest.mark.parametrize(
    "type_, data",
    [
        ("role_changed", {"agent": "alice", "role": "member"}),
        ("agent_expelled", {"agent": "alice"}),
        ("agent_admitted", {"agent": "alice", "key": signer_of("alice").key, "role": "guest"}),
        ("key_revoked", {"key": fingerprint(signer_of("alice").key)}),
    ],
)
def test_the_last_admin_stays_one(type_: str, data: dict[str, Any]) -> None:
    story = Story().founded("alice").joined("bob", "carol")
    assert "the last admin" in str(story.say("alice", type_, data=data).void)
    for agent, more in (("bob", "agent_left"), ("carol", "agent_expelled")):
        story.say("alice", "role_changed", data={"agent": agent, "role": "admin"})
        story.say(agent, more, data={"agent": "carol"} if more == "agent_expelled" else {})
        assert "the last admin" in str(story.say("alice", type_, data=data).void), f"{agent} is none that could help"
    story.say("alice", "role_changed", data={"agent": "bob", "role": "admin"})
    story.say("bob", "agent_joined")
    assert story.say("alice", type_, data=data).void is None


def test_who_is_expelled_stays_out_until_an_admin_lets_it_in() -> None:
    story = Story().founded("alice").joined("bob")
    assert story.say("alice", "agent_expelled", data={"agent": "BOB", "reason": "spam"}).void is None
    assert story.say("bob", "note").void == "bob was expelled"
    assert story.say("bob", "agent_joined").void == "bob was expelled"
    story.say("alice", "agent_admitted", data={"agent": "bob", "key": signer_of("bob").key})
    assert story.say("bob", "note").void is None


# Revoked keys


class Ledger:
    """A branch that reads what is said, a line a commit."""

    def __init__(self) -> None:
        self.world = World()
        self.world.god.fetch()
        self.branch = self.fresh()
        self.branch.apply_commit(self.world.tip or "")
        self.heads: dict[str, Head] = {}
        self.count = 0

    @property
    def fleet(self) -> FleetState:
        return self.branch.fleet

    def fresh(self) -> LedgerBranch:
        return LedgerBranch(self.world.god, FleetState(FEATURES, Verifier()))

    def say(
        self,
        actor: str,
        type_: str,
        *,
        signer: Ed25519Signer | None = None,
        re: str | None = None,
        term: int | None = None,
        node: str = "",
        **data: Any,
    ) -> Event:
        node, self.count = node or f"n-{actor}", self.count + 1
        draft = Draft(
            actor, type_, "words", NOW, uid_from((1000 + self.count).to_bytes(10, "big")), data=data, re=re, term=term
        )
        event = seal(
            draft, node=node, after=self.heads.get(node, Head()), signer=signer or signer_of(actor), fleet=FLEET
        )
        self.heads[node] = event.head
        self.branch.apply_commit(commit_of(self.world, self.branch, [event.line]))
        assert not self.branch.damaged, self.branch.bad
        return event

    def elect(self, actor: str, term: int) -> None:
        draft = Draft(
            actor,
            "leader_election",
            "",
            NOW,
            uid_from((5000 + term).to_bytes(10, "big")),
            term=term,
            data={"session": "s", "after": self.fleet.digest},
        )
        event = seal(draft, node=f"n-{actor}", after=None, signer=signer_of(actor), fleet=FLEET)
        self.branch.apply_commit(commit_of(self.world, self.branch, [event.line]))

    def counts(self, event: Event) -> bool:
        return event.uid in self.fleet.positions

    def check(self) -> None:
        """Whoever comes later, in one go, has the same fold; so has a fold that was written down and goes on."""
        newcomer = self.fresh()
        newcomer.apply_commit(self.branch.tip or "")
        assert newcomer.fleet.dump() == self.fleet.dump()
        again = FleetState.load(json.loads(json.dumps(self.fleet.dump())), FEATURES, Verifier())
        assert again.dump() == self.fleet.dump()


def fleet() -> Ledger:
    """The founder is an admin, and so is alice; bob is a member."""
    ledger = Ledger()
    for agent in ("alice", "bob"):
        ledger.say(agent, "agent_joined")
    ledger.say("founder", "role_changed", agent="alice", role="admin")
    return ledger


def test_a_revoked_key_counts_for_nothing_from_there_on() -> None:
    ledger = fleet()
    before = ledger.say("bob", "note")
    ledger.say("alice", "key_revoked", key=signer_of("bob").key)
    assert ledger.counts(before) and not ledger.counts(ledger.say("bob", "note"))
    ledger.check()


def test_what_a_stolen_key_wrote_after_a_position_is_undone() -> None:
    ledger = fleet()
    mine = ledger.say("bob", "paths_reserved", paths=["docs"], for_s=3600)
    at = ledger.fleet.position
    stolen = [
        ledger.say("bob", "paths_reserved", paths=["src"], for_s=3600),
        ledger.say("bob", "paths_released", re=mine.uid),
    ]
    thief = signer_of("thief")
    stolen.append(
        ledger.say(
            "bob",
            "key_changed",
            key=thief.key,
            proof=thief.sign(possession(FLEET, "bob", signer_of("bob").key, thief.key)),
        )
    )
    stolen.append(ledger.say("bob", "note", signer=thief))
    others = ledger.say("alice", "paths_reserved", paths=["src"], for_s=60)
    assert all(ledger.counts(one) for one in stolen)
    ledger.say("alice", "key_revoked", key=fingerprint(signer_of("bob").key), after=at)
    assert not any(ledger.counts(one) for one in stolen) and ledger.counts(mine) and ledger.counts(others)
    held = ledger.fleet.states["reservations"].held
    assert [one.agent for one in held.values()] == ["bob", "alice"], "alice was first, as it turns out"
    ledger.check()


def test_the_owner_of_a_revoked_key_comes_back_with_another() -> None:
    ledger = fleet()
    ledger.say("alice", "key_revoked", key=signer_of("bob").key)
    new = signer_of("bob's new key")
    ledger.say("alice", "agent_admitted", agent="bob", key=fingerprint(new.key))
    ledger.say("bob", "agent_joined", signer=new, node="n-new")
    assert ledger.counts(ledger.say("bob", "note", signer=new, node="n-new"))
    ledger.check()


def test_a_revoked_leader_never_led() -> None:
    ledger = fleet()
    at = ledger.fleet.position
    ledger.elect("bob", 1)
    made = ledger.say("bob", "task_created", term=1, title="T")
    assert ledger.fleet.terms.leader == "bob" and ledger.counts(made)
    ledger.say("founder", "key_revoked", key=signer_of("bob").key, after=at)
    assert ledger.fleet.terms.leader is None and not ledger.counts(made)
    ledger.elect("alice", 2)
    assert ledger.fleet.terms.leader == "alice"
    ledger.check()


def test_a_revocation_that_takes_away_its_own_right_has_no_effect() -> None:
    ledger = fleet()
    ledger.say("alice", "key_revoked", key=signer_of("founder").key, after=1)  # by which alice became an admin
    assert not ledger.fleet.members.revoked and ledger.counts(ledger.say("founder", "note"))
    assert ledger.fleet.states["health"].void[-1].text.endswith("it would take away the right by which it was made")
    ledger.check()


def test_of_two_admins_that_revoke_each_other_the_first_in_the_ledger_does() -> None:
    ledger = fleet()
    at = ledger.fleet.position
    ledger.say("founder", "note")
    first = ledger.say("alice", "key_revoked", key=signer_of("founder").key, after=at)
    second = ledger.say("founder", "key_revoked", key=signer_of("alice").key, after=at)
    assert ledger.counts(first) and not ledger.counts(second)
    ledger.check()


def test_a_revocation_may_undo_an_earlier_one() -> None:
    ledger = fleet()
    ledger.say("founder", "role_changed", agent="bob", role="admin")
    at = ledger.fleet.position
    ledger.say("alice", "note")
    stolen = ledger.say("bob", "key_revoked", key=signer_of("alice").key, after=at)  # bob's key was stolen
    assert not ledger.counts(ledger.say("alice", "note"))
    ledger.say("founder", "note")
    ledger.say("founder", "key_revoked", key=signer_of("bob").key, after=at)
    assert not ledger.counts(stolen) and ledger.counts(ledger.say("alice", "note"))
    assert list(ledger.fleet.members.revoked) == [signer_of("bob").key]
    ledger.check()


def test_a_secret_that_all_share_is_not_revoked() -> None:
    """It was known as the key of whoever joined last, so the last admin's was revoked along, and nobody spoke again."""
    shared = HmacSigner(b"0123456789abcdef")
    story = Story(FleetState(FEATURES, Verifier("hmac", shared)))
    story.control("alice", "fleet_founded", signer=shared, data={"auth": "hmac"})
    story.say("bob", "agent_joined", signer=shared)
    void = story.say("alice", "key_revoked", signer=shared, data={"key": shared.key}).void
    assert "share one secret" in str(void)
    assert story.say("alice", "note", signer=shared).void is None


def test_revocations_that_reach_back_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REVOCATIONS_BACK_MAX", 1)
    ledger = fleet()
    ledger.say("carol", "agent_joined")
    ledger.say("alice", "key_revoked", key=signer_of("bob").key, after=2)
    refused = ledger.say("alice", "key_revoked", key=signer_of("carol").key, after=2)
    assert not ledger.counts(refused) and "carol" not in str(ledger.fleet.members.revoked)
    assert ledger.counts(ledger.say("alice", "key_revoked", key=signer_of("carol").key))
    ledger.check()


@pytest.mark.parametrize(
    "data, words",
    [
        ({"key": "SHA256:" + "A" * 43}, "no member has or had the key"),
        ({"key": signer_of("bob").key, "after": 99}, "is not before"),
    ],
)
def test_a_revocation_names_a_key_and_a_position_that_are_there(data: dict[str, Any], words: str) -> None:
    ledger = fleet()
    ledger.say("alice", "key_revoked", **data)
    assert words in ledger.fleet.states["health"].void[-1].text
