"""Authority: every type of event is written by every kind of author, and the fold says what the table says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gitcoord.core import rights
from gitcoord.core.event_types import CONTROL, CORE_AUTHORITY, CORE_EVENTS
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold import authority
from gitcoord.core.fold.account_proof import AccountProof
from gitcoord.core.fold.authority import (
    ADMIN,
    ANYBODY,
    APPROVER,
    ASSIGNEE,
    CANDIDATE,
    GUEST,
    LEADER,
    MEMBER,
    OWNER,
    REVIEWER,
    SELF,
    Who,
)
from gitcoord.core.format.keys import Verifier, possession
from gitcoord.features import FEATURES
from gitcoord.features.pages import permissions
from tests.core.lines import FLEET, NOW, Story, signer_of

TABLE: dict[str, Who] = {**CORE_AUTHORITY, **{t: w for one in FEATURES.values() for t, w in one.AUTHORITY.items()}}
MODELS: dict[str, type[BaseModel]] = {
    **CORE_EVENTS,
    **{t: m for one in FEATURES.values() for t, m in one.EVENTS.items()},
}
DOCS = Path(__file__).resolve().parents[3] / "docs"
COMMIT = "a" * 40

AUTHORS = ("guest", "member", "reviewer", "admin", "chief", "owner", "stranger", "expelled")
DEFINITION = {"name": "release", "steps": {"a": {"title": "A"}}}


class Scene:
    """A fleet in which `owner` owns one of everything, and `leader` leads. Each author is called for what it is."""

    def __init__(self) -> None:
        self.story = story = Story().founded("admin")
        story.joined("guest", "member", "reviewer", "chief", "owner", "expelled")
        for agent in ("guest", "reviewer"):
            story.say("admin", "role_changed", data={"agent": agent, "role": agent})
        story.say("admin", "agent_expelled", data={"agent": "expelled"})
        story.elect("chief", 1)
        for agent in ("owner", "chief"):
            story.say(agent, "agent_registered")
        self.things: dict[str, str] = {}
        self.make("paths_reserved", "owner", paths=["src/**"], for_s=3600)
        self.make("task_created", "owner", title="T")
        self.make("task_claimed", "owner", re="task_created")
        self.make("directive_issued", "owner", agents=["owner"])
        self.make("workflow_defined", "owner", definition=DEFINITION)
        self.make("workflow_started", "owner", definition=DEFINITION)
        branch = {"name": "x", "commit": COMMIT, "agent": None}
        self.make(
            "conflict_found",
            "owner",
            a=branch,
            b={**branch, "name": "y"},
            severity="low",
            paths=[{"path": "a", "kind": "content"}],
        )
        self.make("autonomy_changed", "admin", level="full")  # else the leader asks first
        self.make(
            "proposal_made", "chief", term=1, kind="assignment", occasion="o", event={"type": "x", "content": "y"}
        )
        self.make("message", "owner", request_s=60)
        self.make("github_claimed", "owner", login="x")

    def again(self) -> Scene:
        """Another one like it, that cost no signatures."""
        other = object.__new__(Scene)
        other.things = self.things
        other.story = dataclasses.replace(
            self.story,
            fleet=FleetState.load(self.story.fleet.dump(), FEATURES, Verifier()),
            heads=dict(self.story.heads),
            lines=[],
        )
        return other

    def make(self, type_: str, actor: str, *, re: str | None = None, term: int | None = None, **data: Any) -> None:
        recorded = self.story.say(
            actor,
            type_,
            "words",
            data=data,
            re=self.things[re] if re else None,
            term=term,
            to=("member",) if type_ == "message" else (),
        )
        assert recorded.void is None and recorded.event.uid not in self.story.fleet.refusals, (type_, recorded.void)
        self.things[type_] = recorded.event.uid

    def about(self, type_: str) -> str | None:
        for prefix, made in (
            ("paths_", "paths_reserved"),
            ("task_", "task_created"),
            ("directive_", "directive_issued"),
            ("workflow_st", "workflow_started"),
            ("workflow_fin", "workflow_started"),
            ("conflict_closed", "conflict_found"),
            ("proposal_", "proposal_made"),
            ("request_", "message"),
        ):
            if type_.startswith(prefix) and type_ not in self.things:
                return self.things[made]
        return None

    def write(self, type_: str, author: str) -> str | None:
        """Write such an event as an author may who does his best; why it is void."""
        data = payload(type_, author, self.story)
        term = 1 if author == "chief" and TABLE[type_] & LEADER else None
        if type_ in CONTROL:
            data |= {"after": self.story.fleet.digest, "session": f"s-{author}"}
            return self.story.control(author, type_, data=data, term=2 if type_ == "leader_election" else term).void
        re = self.about(type_)
        if type_ == "fleet_arrived":
            re = self.story.say("admin", "fleet_moved", data=payload("fleet_moved", "admin", self.story)).event.uid
        return self.story.say(author, type_, "words", data=data, re=re, term=term).void


def confirmation(story: Story, agent: str, login: str, **more: Any) -> dict[str, Any]:
    """What is recorded of a proof that the agent has signed."""
    proof = AccountProof(more.pop("fleet_id", story.fleet.id or ""), agent, login, "o/r")
    signature = signer_of(more.pop("signer", agent)).sign(proof.message)
    return {"agent": agent, "login": login, "repository": "o/r", "proof": signature} | more.pop("instead", {})


def payload(type_: str, author: str, story: Story) -> dict[str, Any]:
    """The least that the model accepts, about the things of `owner`."""
    new = signer_of(f"{author}'s new key")
    old = signer_of(author).key
    special: dict[str, dict[str, Any]] = {
        "key_changed": {"key": new.key, "proof": new.sign(possession(str(story.fleet.id), author, old, new.key))},
        "agent_admitted": {"agent": "late", "key": signer_of("late").key},
        "key_revoked": {"key": signer_of("owner").key},
        "role_changed": {"agent": "owner", "role": "guest"},
        "workflow_automated": {"name": "release", "on": None},
        "workflow_defined": {"definition": DEFINITION},
        "workflow_started": {"definition": DEFINITION},
        "autonomy_changed": {"level": "full"},
        "fleet_moved": {"to": "/srv/r.git", "profile": "lan"},
        "admission_changed": {"admission": "closed"},
        "review_posted": {"pr": 1, "commit": COMMIT, "verdict": "comment"},
        "review_stale": {"pr": 1, "head": COMMIT},
        "vote_cast": {"pr": 1, "verdict": "approve"},
        "review_requested": {"pr": 1},
        "config_changed": {"set": {}},
        "github_claimed": {"login": "x"},
        "github_confirmed": confirmation(story, "owner", "x"),
        "paths_reserved": {"paths": ["docs"], "for_s": 5},
        "task_created": {"title": "T"},
        "task_assigned": {"agent": "owner", "attempt": 2},
        "directive_issued": {"agents": ["owner"]},
        "directive_reassigned": {"agent": "owner", "instead_of": "member"},
        "messages_acknowledged": {"ids": ["0" * 16]},
        "proposal_made": {"kind": "x", "occasion": "z", "event": {"type": "x", "content": "y"}},
        "workflow_step_ended": {"key": "a", "status": "done", "until": NOW},
        "workflow_step_skipped": {"step": "a"},
        "workflow_finished": {"status": "done"},
        "issue_updated": {"kind": "error", "number": 1, "events": ["0" * 16]},
        "backup_activated": {"agent": "owner", "backup": "chief"},
        "sight_doubted": {"agents": []},
        "restart_requested": {"agent": "owner", "node": "n"},
        "fleet_founded": {"fleet": FLEET},
        "conflict_found": {
            "a": {"name": "v", "commit": COMMIT},
            "b": {"name": "w", "commit": COMMIT},
            "paths": [{"path": "a", "kind": "content"}],
            "severity": "low",
        },
    }
    if type_ in special:
        return special[type_]
    needed = {name for name, one in MODELS[type_].model_fields.items() if one.is_required()}
    data: dict[str, Any] = {"agent": "owner"} if "agent" in MODELS[type_].model_fields else {}
    return data | ({"attempt": 1} if "attempt" in needed else {})


def expected(type_: str, author: str) -> bool:
    """What the table says, by itself."""
    who = TABLE[type_]
    if author in ("stranger", "expelled"):
        return bool(who & ANYBODY) and author == "stranger"
    holds = {
        "guest": GUEST,
        "member": GUEST | MEMBER,
        "reviewer": GUEST | MEMBER | REVIEWER,
        "admin": GUEST | MEMBER | REVIEWER | ADMIN,
        "chief": GUEST | MEMBER | LEADER,
        "owner": GUEST | MEMBER | OWNER | SELF | ASSIGNEE,
    }[author]
    if author != "guest":
        holds |= CANDIDATE
        holds |= APPROVER if author != "chief" else Who(0)  # it has proposed
    return bool(who & (holds | ANYBODY))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("type_", sorted(set(TABLE) - {"fleet_founded"}))
def test_who_may_write_an_event_is_what_the_table_says(type_: str, scene: Scene) -> None:
    for author in AUTHORS:
        void = scene.again().write(type_, author)
        if author == "expelled" and type_ == "agent_joined":
            assert void == "expelled was expelled"
        elif expected(type_, author):
            assert void is None, f"{author}: {void}"
        else:
            assert void is not None and ("may not write" in void or "not joined" in void or "expelled" in void), author


def test_the_leaders_term_is_what_makes_a_leader_s_line() -> None:
    scene = Scene()
    for type_, who in TABLE.items():
        if who == LEADER and type_ not in CONTROL and type_ != "leader_resigned":
            data = payload(type_, "chief", scene.story)
            void = scene.story.say("chief", type_, data=data, re=scene.about(type_)).void
            assert void == f"chief (member) may not write {type_}: only the leader (by its term) may"


@pytest.mark.parametrize("type_", ["note", "question", "deploy_wanted", "error"])
def test_what_stands_in_no_table_is_speech_and_guests_speak_too(type_: str) -> None:
    scene = Scene()
    assert scene.story.say("guest", type_, "words").void is None
    assert scene.story.say("stranger", type_, "words").void == "stranger has not joined"


def test_a_guests_words_bind_nobody() -> None:
    scene = Scene()
    story = scene.story
    for words in ("*autonomy:full", "*workflow:start release", f"*workflow:stop {scene.things['workflow_started']}"):
        uid = story.say("guest", "note", words).event.uid
        assert "admin" in story.fleet.refusals[uid] or "guest" in story.fleet.refusals[uid]
    story.say("owner", "workflow_automated", data={"name": "release", "on": "merged"})
    story.say("guest", "merged")
    story.say("guest", "error", "wake up")
    assert story.fleet.states["workflows"].start_requests == {} and story.fleet.states["alerts"].waiting == {}
    story.say("member", "merged")
    assert len(story.fleet.states["workflows"].start_requests) == 1


def test_who_is_made_a_guest_or_expelled_holds_nothing_any_more() -> None:
    for type_, data in (("role_changed", {"agent": "owner", "role": "guest"}), ("agent_expelled", {"agent": "owner"})):
        story = Scene().story
        story.say("owner", "vote_cast", data={"pr": 1, "verdict": "approve", "commit": COMMIT})
        assert story.fleet.states["reservations"].held and "owner" in story.fleet.states["agents"].agents
        assert story.say("admin", type_, data=data).void is None
        states = story.fleet.states
        assert not states["reservations"].held and "owner" not in states["agents"].agents
        assert all(not pull.votes for pull in states["reviews"].pulls.values())


def test_a_workflow_that_another_has_defined_is_not_replaced() -> None:
    story = Scene().story
    void = story.say("member", "workflow_defined", data={"definition": DEFINITION}).void
    assert void is not None and "only an admin or owner (who defined it) may" in void
    other = {**DEFINITION, "name": "another"}
    assert story.say("member", "workflow_defined", data={"definition": other}).void is None


# Accounts


def test_a_leader_confirms_an_account_by_the_agents_own_signature_and_by_nothing_else() -> None:
    scene = Scene()
    story = scene.story
    story.say("member", "github_claimed", data={"login": "x"})
    for more in (
        {"signer": "chief"},
        {"fleet_id": "another fleet"},
        *(
            {"instead": other}
            for other in (
                {"proof": ""},
                {"proof": "A" * 86},
                {"login": "X"},
                {"login": "y"},
                {"repository": "o/other"},
                {"agent": "member"},
                {"agent": "nobody"},
            )
        ),
    ):
        data = confirmation(story, "owner", "x", **more)
        assert story.say("chief", "github_confirmed", data=data, term=1).void is not None, more
    assert story.fleet.members.of_login("x") == frozenset()
    assert story.say("chief", "github_confirmed", data=confirmation(story, "owner", "x"), term=1).void is None
    assert story.fleet.members.of_login("X") == {"owner"}


def test_a_proof_shown_again_takes_no_account_back() -> None:
    story = Scene().story
    old = confirmation(story, "owner", "x")
    story.say("owner", "github_claimed", data={"login": "z"})
    assert "does not say" in str(story.say("chief", "github_confirmed", data=old, term=1).void)
    story.say("admin", "github_confirmed", data={"agent": "owner", "login": "z"})
    story.say("owner", "github_claimed", data={"login": "x"})
    assert "only an admin changes that" in str(story.say("chief", "github_confirmed", data=old, term=1).void)
    assert story.fleet.members.of_login("z") == {"owner"}


def test_a_proof_by_a_key_that_counts_no_more_is_none() -> None:
    story = Scene().story
    story.say("admin", "key_revoked", data={"key": signer_of("owner").key})
    data = confirmation(story, "owner", "x")
    assert "whose key counts" in str(story.say("chief", "github_confirmed", data=data, term=1).void)


# Who leads


def test_only_those_that_the_setting_names_may_stand() -> None:
    story = Story().founded("alice").joined("bob", "mallory")
    story.say("alice", "config_changed", data={"set": {"leaders": ["alice", "Bob"]}})
    assert story.elect("alice", 1).void is None
    assert story.elect("mallory", 2).void == (
        "mallory (member) may not write leader_election: only an agent that the setting `leaders` names may"
    )
    assert story.fleet.terms.leader == "alice"
    assert story.elect("bob", 2).void is None, "who may not lead does not use up the terms of those that may"


def test_a_guest_never_leads_whoever_the_setting_names() -> None:
    story = Story().founded("alice").joined("bob")
    story.say("alice", "role_changed", data={"agent": "bob", "role": "guest"})
    assert "may not write leader_election" in str(story.elect("bob", 1).void)
    story.say("alice", "config_changed", data={"set": {"leaders": ["bob"]}})
    assert "may not write leader_election" in str(story.elect("bob", 2).void)


@pytest.mark.parametrize(
    "type_, data",
    [
        ("config_changed", {"set": {"leaders": ["alice"]}}),
        ("role_changed", {"agent": "bob", "role": "guest"}),
        ("agent_expelled", {"agent": "bob"}),
        ("key_revoked", {"key": signer_of("bob").key}),
    ],
)
def test_who_may_lead_no_more_leads_no_more(type_: str, data: dict[str, Any]) -> None:
    story = Story().founded("alice").joined("bob")
    story.elect("bob", 1)
    assert story.say("alice", type_, data=data).void is None
    assert story.fleet.terms.leader is None
    assert story.say("bob", "leader_resigned", term=1).void is not None
    assert story.elect("alice", 2).void is None


# The tables themselves


def test_each_event_stands_in_a_table_and_one_that_does_not_is_an_error() -> None:
    class Lacking:
        EVENTS = {"x": BaseModel}
        AUTHORITY: dict[str, Who] = {}

    with pytest.raises(ValueError, match="AUTHORITY of lacking and its EVENTS differ: x"):
        authority.permissions({}, {"lacking": Lacking})
    Lacking.AUTHORITY = {"x": OWNER}
    with pytest.raises(ValueError, match="no function in WHOSE for x"):
        authority.permissions({}, {"lacking": Lacking})


def test_every_word_is_used_and_explained() -> None:
    used = Who(0)
    for who in TABLE.values():
        used |= who
    assert set(authority.MEANING) == set(used) == set(Who)


def test_the_page_is_what_the_tables_say() -> None:
    assert (DOCS / "permissions.md").read_text(encoding="utf-8") == permissions.page(FEATURES), (
        "run `python -m gitcoord.features.pages.permissions`"
    )


def test_a_fold_that_was_written_down_judges_as_before() -> None:
    scene = Scene()
    again = FleetState.load(json.loads(json.dumps(scene.story.fleet.dump())), FEATURES, Verifier())
    for fleet in (scene.story.fleet, again):
        reason = rights.why_not(fleet, "config_changed", actor="member", re=None, data={"set": {}})
        assert "only an admin" in str(reason)
        assert rights.why_not(fleet, "config_changed", actor="admin", re=None, data={"set": {}}) is None
