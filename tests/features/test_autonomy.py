"""Autonomy: under supervision a decision waits for somebody's word; what was rejected is never done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gitcoord.core import rights, times
from gitcoord.core.commands import Context
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.features import autonomy, control
from gitcoord.features.autonomy import COMMANDS, ApproveProposals, ListProposals, RejectProposals, SetAutonomy
from tests.core.lines import NOW, Story

ASSIGN = Duty("task_assigned", "the parser goes to bob", "assign:t1:1", {"agent": "bob", "attempt": 1})


def story(level: str = "supervised") -> Story:
    """alice founded the fleet and is its admin; bob leads it."""
    one = Story().founded().joined("bob", "carol", "dave")
    one.elect("bob", 1)
    for agent in ("bob", "carol", "dave"):
        one.say(agent, "agent_registered", data={"capabilities": ["python"]})
    if level != "full":
        one.say("alice", "autonomy_changed", data={"level": level})
    return one


def ctx(one: Story, actor: str = "bob", now: str = NOW) -> Context:
    return Context(one.fleet, now, actor, f"node-{actor}")


def lead(one: Story, duty: Duty, now: str = NOW) -> SequencedEvent:
    """bob, who leads, does his duty."""
    return one.say(
        "bob",
        duty.type,
        duty.content,
        term=1,
        data={**duty.data, "duty": duty.key},
        re=duty.re,
        to=duty.to,
        timestamp=now,
    )


def proposed(one: Story, duty: Duty = ASSIGN, kind: str = "assignment", now: str = NOW) -> str:
    [proposal] = autonomy.gate(ctx(one), kind, duty)
    assert proposal.type == "proposal_made"
    return lead(one, proposal, now).event.uid


def decide(one: Story, actor: str, name: str, asked: Any) -> SequencedEvent:
    """What the command writes, in the ledger."""
    what = COMMANDS[name]
    [draft] = what.decide(ctx(one, actor), asked)  # type: ignore[union-attr]
    reason = rights.why_not(one.fleet, draft.type, actor=actor, re=draft.re, data=draft.data)
    if reason is not None:  # as `acting.propose` says it
        raise Refused(reason)
    return one.say(actor, draft.type, draft.content, data=draft.data, re=draft.re)


def status(one: Story) -> Mapping[str, str]:
    rows = COMMANDS["autonomy proposals"].ask(ctx(one), ListProposals(all=True))  # type: ignore[union-attr]
    return {row["id"]: row["status"] for row in rows}


def test_one_proposal_is_shown_by_its_id_also_when_it_is_done_with() -> None:
    one = story()
    uid = proposed(one)
    decide(one, "alice", "autonomy reject", RejectProposals(ids=[uid], why="not today"))
    shown = COMMANDS["autonomy proposals"].ask(ctx(one), ListProposals(id=uid[:6]))  # type: ignore[union-attr]
    assert isinstance(shown, Mapping) and (shown["id"], shown["why"], shown["judge"]) == (uid, "not today", "alice")
    assert (shown["position"], shown["changed"]) == (one.fleet.positions[uid], NOW)


def test_full_autonomy_asks_nobody_and_supervision_only_for_what_matters() -> None:
    assert autonomy.gate(ctx(story("full")), "assignment", ASSIGN) == (ASSIGN,)
    assert autonomy.gate(ctx(story()), "step", ASSIGN) == (ASSIGN,)
    for one, kind in ((story(), "assignment"), (story("manual"), "step")):
        [waiting] = autonomy.gate(ctx(one), kind, ASSIGN)
        assert (waiting.type, waiting.content) == ("proposal_made", "proposes: the parser goes to bob")


def test_what_waits_is_not_proposed_again_and_an_approved_one_is_done_as_it_was_approved() -> None:
    one = story()
    uid = proposed(one)
    later = Duty(ASSIGN.type, "the parser goes to carol", ASSIGN.key, {"agent": "carol", "attempt": 1})
    assert autonomy.gate(ctx(one), "assignment", later) == ()  # the leader thinks again; bob is still there
    decide(one, "carol", "autonomy approve", ApproveProposals(ids=[uid]))
    [done] = autonomy.gate(ctx(one), "assignment", later)
    assert (done.key, done.data["agent"], done.data["proposal"]) == (ASSIGN.key, "bob", uid)
    lead(one, done)
    assert status(one) == {uid: "done"}


def test_what_was_rejected_is_never_done() -> None:
    one = story()
    uid = proposed(one)
    decide(one, "carol", "autonomy reject", RejectProposals(ids=[uid], why="not on a Friday"))
    assert autonomy.gate(ctx(one), "assignment", ASSIGN) == ()
    again = Duty(
        "proposal_made",
        "",
        "propose:assign:t1:1:2",
        {"kind": "assignment", "occasion": ASSIGN.key, "event": {"type": "x", "content": "y"}},
    )
    assert one.fleet.refusals[lead(one, again).event.uid] == "an earlier proposal for the same occasion is rejected"
    with pytest.raises(Lost, match="carol rejected it already"):
        decide(one, "alice", "autonomy approve", ApproveProposals(ids=[uid]))


def test_who_answers_what_is_over_is_told_how_it_ended() -> None:
    one = story()
    uid = proposed(one)
    decide(one, "carol", "autonomy approve", ApproveProposals(ids=[uid]))
    lead(one, *autonomy.gate(ctx(one), "assignment", ASSIGN))
    assert status(one) == {uid: "done"}
    with pytest.raises(Lost, match="carol approved it, and it is done"):
        decide(one, "alice", "autonomy approve", ApproveProposals(ids=[uid]))


def test_the_first_answer_in_the_ledger_counts() -> None:
    one = story()
    uid = proposed(one)
    one.say("carol", "proposal_approved", re=uid)
    late = one.say("dave", "proposal_rejected", re=uid)
    assert one.fleet.refusals[late.event.uid] == "carol approved it already"
    assert status(one) == {uid: "approved"}


def test_an_approved_assignment_to_an_agent_that_is_gone_is_proposed_anew() -> None:
    one = story()
    first = proposed(one)
    decide(one, "carol", "autonomy approve", ApproveProposals(all=True))
    lead(one, Duty("agent_lost", "bob is lost", "lost:bob", {"agent": "bob", "session": "s", "silent_s": 9.0}))
    other = Duty(ASSIGN.type, "the parser goes to carol", ASSIGN.key, {"agent": "carol", "attempt": 1})
    second = proposed(one, other)
    assert status(one) == {first: "overtaken", second: "pending"}


def test_what_is_wanted_no_more_is_not_done_and_lapses() -> None:
    one = story()
    uid = proposed(one)
    decide(one, "carol", "autonomy approve", ApproveProposals(all=True))
    state = one.fleet.states["autonomy"]
    assert list(autonomy.duty(state, ctx(one, now=times.later(NOW, 3599)))) == []
    [lapse] = autonomy.duty(state, ctx(one, now=times.later(NOW, 3601)))
    lead(one, lapse)
    assert status(one) == {uid: "lapsed"}
    [anew] = autonomy.gate(ctx(one), "assignment", ASSIGN)
    assert anew.key == "propose:assign:t1:1:2"  # should it be wanted again


def test_who_proposes_does_not_approve_but_another_member_does() -> None:
    one = story()
    uid = proposed(one)
    with pytest.raises(Refused, match="other than bob .who proposed it"):
        decide(one, "bob", "autonomy approve", ApproveProposals(ids=[uid]))
    sequenced = one.say("bob", "proposal_approved", re=uid)  # past the command: the fold judges
    assert "who proposed it" in str(sequenced.void)
    one.say("alice", "role_changed", data={"agent": "bob", "role": "admin"})
    assert "who proposed it" in str(one.say("bob", "proposal_approved", re=uid).void)  # not as an admin either
    decide(one, "alice", "autonomy approve", ApproveProposals(ids=[uid]))


def test_who_proposes_does_not_approve_under_another_name_of_the_same_account() -> None:
    one = story()
    uid = proposed(one)
    for agent in ("bob", "carol"):
        one.say("alice", "github_confirmed", data={"agent": agent, "login": "bobs-login"})
    assert "who proposed it" in str(one.say("carol", "proposal_approved", re=uid).void)
    assert one.say("dave", "proposal_approved", re=uid).void is None


def test_a_fleet_can_leave_it_to_its_admins() -> None:
    one = story()
    decide(one, "alice", "autonomy supervised", SetAutonomy(approvers="admins"))
    uid = proposed(one)
    with pytest.raises(Refused, match="only an admin other than bob"):
        decide(one, "carol", "autonomy approve", ApproveProposals(ids=[uid]))
    with pytest.raises(Refused, match="only an admin may"):
        decide(one, "carol", "autonomy full", SetAutonomy())
    carols = one.say("carol", "note", "*autonomy:full")
    assert "only an admin" in one.fleet.refusals[carols.event.uid]
    one.say("alice", "role_changed", data={"agent": "carol", "role": "admin"})
    decide(one, "carol", "autonomy approve", ApproveProposals(ids=[uid]))


def test_beyond_what_anybody_reads_nothing_is_proposed_until_something_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gitcoord.features.autonomy.approval.WAITING_MAX", 2)
    one = story()
    for number in range(2):
        proposed(one, Duty("x", "y", f"key{number}"))
    assert autonomy.gate(ctx(one), "assignment", ASSIGN) == ()
    decide(
        one, "carol", "autonomy approve", ApproveProposals(ids=[next(iter(status(one)))])
    )  # it waits for the leader now
    assert autonomy.gate(ctx(one), "assignment", ASSIGN) == ()
    [done] = autonomy.gate(ctx(one), "assignment", Duty("x", "y", "key0"))
    lead(one, done)
    assert len(autonomy.gate(ctx(one), "assignment", ASSIGN)) == 1


def test_only_the_leader_proposes_and_ends_proposals() -> None:
    one = story()
    uid = proposed(one)
    [wish] = autonomy.gate(ctx(one), "assignment", Duty("x", "y", "z"))
    for type_, re in (("proposal_made", None), ("proposal_lapsed", uid)):
        sequenced = one.say("carol", type_, data=dict(wish.data), re=re)
        assert "only the leader" in str(sequenced.void)
    assert status(one) == {uid: "pending"}


def test_all_needs_a_word_and_nothing_waiting_is_nothing_to_do() -> None:
    one = story()
    with pytest.raises(Refused, match="name proposals, or give --all"):
        decide(one, "alice", "autonomy approve", ApproveProposals())
    assert COMMANDS["autonomy approve"].decide(ctx(one, "alice"), ApproveProposals(all=True)) == []  # type: ignore[union-attr]


@pytest.mark.parametrize("type_, data", [("note", {}), ("message", {})])
def test_the_seeds_control_words_are_understood_in_what_is_said(type_: str, data: dict[str, Any]) -> None:
    one = story("full")
    for word in ("supervised", "manual", "full", "supervised"):
        one.say("alice", type_, f"*autonomy:{word}", data=data)
        assert one.fleet.states["autonomy"].level == word
    wrong = one.say("alice", type_, "*autonomy:sometimes", data=data)
    assert "is none of *autonomy:full" in one.fleet.refusals[wrong.event.uid]
    one.say("alice", type_, "I would say *autonomy:full", data=data)
    one.say("alice", type_, "*autonomy:full", data={**data, "source": {"actor": "x"}})  # imported: said long ago
    assert one.fleet.states["autonomy"].level == "supervised"


def test_a_program_that_repeats_what_it_was_given_gives_no_order() -> None:
    """`--on-event 'jq -r .event.content' --reply` of an admin would make every guest one, as would tasks' questions."""
    one = story("full")
    asked = one.say("carol", "question", "*autonomy:manual", to=("alice",))
    one.say("alice", "answer", "*autonomy:manual", re=asked.event.uid, to=("carol",))
    one.say("alice", "error", "*autonomy:manual")
    task = one.say("alice", "task_created", "x", data={"title": "x"}).event.uid
    one.say("alice", "task_claimed", re=task)
    one.say("alice", "task_input_requested", "*autonomy:manual", re=task, data={"attempt": 1, "text": "x"})
    assert one.fleet.refusals.keys() <= {asked.event.uid}
    assert one.fleet.states["autonomy"].level == "full"


@pytest.mark.parametrize(
    "typed, meant",
    [
        (["*autonomy:full"], ["autonomy", "full"]),
        (["*workflow:start code_sync", "--json"], ["workflow", "start", "code_sync", "--json"]),
        (["*workflow:stop", "k3f9"], ["workflow", "stop", "k3f9"]),
        (["status"], ["status"]),
        (["*nothing:known"], ["*nothing:known"]),
        ([], []),
    ],
)
def test_a_control_word_is_a_command(typed: list[str], meant: list[str]) -> None:
    assert control.command_line(typed) == meant


# What the fold keeps of it, whatever the leader is


def given_out(one: Story, uid: str = "", **changed: Any) -> str | None:
    """What the fold says of the leader's assignment."""
    said = {"content": ASSIGN.content, "to": ASSIGN.to, "re": ASSIGN.re, "actor": "bob", "type_": ASSIGN.type}
    data = {**ASSIGN.data, "duty": ASSIGN.key, **({"proposal": uid} if uid else {}), **changed.pop("data", {})}
    return one.say(**{**said, **changed}, term=1, data=data).void


@pytest.mark.parametrize("level", ["supervised", "manual"])
@pytest.mark.parametrize(
    "type_, data",
    [
        ("task_assigned", {"agent": "dave", "attempt": 1}),
        ("recovery_started", {"agent": "dave"}),
        ("directive_reassigned", {"agent": "dave", "instead_of": "carol"}),
        ("workflow_started", {"request": "0" * 16}),
    ],
)
def test_what_a_leader_decides_without_asking_is_void(level: str, type_: str, data: dict[str, Any]) -> None:
    one = story(level)
    for more in ({}, {"proposal": "0" * 16}, {"proposal": 7}, {"proposal": None}):
        void = one.say("bob", type_, term=1, data=data | more).void or ""
        assert f"autonomy is {level}: {type_} waits for an approved proposal" in void, void
    one.say("alice", "autonomy_changed", data={"level": "full"})
    assert "autonomy" not in (one.say("bob", type_, term=1, data=data).void or "")


def test_what_was_approved_is_done_once_as_it_was_approved_and_nothing_else() -> None:
    one = story()
    uid = proposed(one)
    assert "waits for an approved proposal" in (given_out(one, uid) or ""), "it is pending"
    assert "may not write proposal_approved" in (one.say("bob", "proposal_approved", re=uid).void or "")
    decide(one, "carol", "autonomy approve", ApproveProposals(ids=[uid]))
    for changed in (
        {"data": {"agent": "dave"}},
        {"data": {"duty": "assign:t2:1"}},
        {"content": "x"},
        {"to": ("dave",)},
        {"re": "1" * 16},
        {"data": {"more": 1}},
    ):
        assert f"the event differs from what carol approved by proposal {uid[:8]}" in (
            given_out(one, uid, **changed) or ""
        ), changed
    assert given_out(one, uid) is None and status(one) == {uid: "done"}
    assert given_out(one, uid) is not None


def test_what_was_rejected_is_void_also_if_the_leader_does_it() -> None:
    one = story()
    uid = proposed(one)
    decide(one, "carol", "autonomy reject", RejectProposals(ids=[uid]))
    assert "waits for an approved proposal" in (given_out(one, uid) or "")


def test_each_decision_that_comes_to_the_gate_is_one_that_the_fold_knows() -> None:
    """A kind of decision that somebody adds without its type would be kept by honest leaders only."""
    from gitcoord.features.autonomy import approval

    assert {*approval.GATED.values()} == approval.MAJOR
