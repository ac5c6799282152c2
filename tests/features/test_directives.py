"""Directives: each agent answers for its part, and the plan is followed for one that fails."""

from __future__ import annotations

from typing import Any

import pytest

from gitcoord.core import times
from gitcoord.core.errors import Lost, Refused
from gitcoord.features import directives
from gitcoord.features.directives.commands import IssueDirective, ListDirectives, OneDirective
from gitcoord.features.messages.state import is_for
from tests.features.work import Work


def fleet(**more: list[str]) -> Work:
    """alice leads; bob and carol write python, dave writes docs."""
    return Work(bob=["python"], carol=["python"], dave=["docs"], **more)


def issue(work: Work, text: str = "freeze the schema", **given: Any) -> str:
    return work.do("alice", "directive issue", text=text, **{"to": ["bob"], **given})


def shown(work: Work, uid: str) -> dict[str, Any]:
    row: dict[str, Any] = directives.COMMANDS["directive show"].ask(  # type: ignore[union-attr]
        work.ctx("alice"), OneDirective(directive=uid)
    )
    return row


def parts(work: Work, uid: str) -> dict[str, str]:
    return {
        part["agent"]: part["status"] + (f", {part['followed']}" if part["followed"] else "")
        for part in shown(work, uid)["parts"]
    }


def lead(work: Work) -> list[tuple[str, tuple[str, ...]]]:
    """alice does what directives ask of a leader; what she wrote, and to whom."""
    duties = list(directives.duty(work.story.fleet.states["directives"], work.ctx("alice")))
    for one in duties:
        sequenced = work.story.say(
            "alice",
            one.type,
            one.content,
            data={**one.data, "duty": one.key},
            term=1,
            re=one.re,
            to=one.to,
            timestamp=work.now,
        )
        assert sequenced.void is None and sequenced.event.uid not in work.story.fleet.refusals
    return [(one.type, one.to) for one in duties]


def lose(work: Work, agent: str) -> None:
    work.say("alice", "agent_lost", term=1, agent=agent, session="s", silent_s=9.0)


def test_a_directive_is_for_agents_a_capability_or_all() -> None:
    work = fleet()
    assert list(parts(work, issue(work, to=["bob,dave"]))) == ["bob", "dave"]
    assert list(parts(work, issue(work, to=[], capability="Python"))) == ["bob", "carol"]
    assert list(parts(work, issue(work, to=["all"]))) == ["bob", "carol", "dave"]
    with pytest.raises(Refused, match="no recipient"):
        issue(work, to=[])
    with pytest.raises(Refused, match="no agent has the capability 'cobol'"):
        issue(work, to=[], capability="cobol")


def test_it_is_done_when_each_has_done_its_part() -> None:
    work = fleet()
    uid = issue(work, to=["bob", "carol"], ack=["all"])
    assert shown(work, uid)["unacknowledged"] == ["bob", "carol"]
    work.do("bob", "directive ack", directive=uid)
    assert shown(work, uid)["unacknowledged"] == ["carol"]
    work.do("bob", "directive done", directive=uid, result="frozen")
    assert (shown(work, uid)["status"], shown(work, uid)["waiting"]) == ("open", ["carol"])
    work.do("carol", "directive done", directive=uid)
    assert (shown(work, uid)["status"], shown(work, uid)["unacknowledged"]) == ("done", [])
    with pytest.raises(Lost, match=f"directive {uid[:8]} .*: it is done already"):
        work.do("carol", "directive fail", directive=uid)


def test_each_speaks_for_its_own_part_once() -> None:
    work = fleet()
    uid = issue(work, to=["bob", "carol"])
    with pytest.raises(Refused, match="it is not for dave"):
        work.do("dave", "directive done", directive=uid)
    assert "only a recipient of the directive may" in str(work.say("dave", "directive_done", re=uid))
    work.do("bob", "directive fail", directive=uid)
    assert work.say("bob", "directive_done", re=uid) == "bob's part is failed already"


def test_an_agent_that_fails_is_followed_by_the_planned_task() -> None:
    work = fleet()
    uid = issue(work, to=[], capability="python", priority="critical", on_failure="task Freeze it by hand")
    work.do("bob", "directive fail", directive=uid, reason="no access")
    assert lead(work) == [("task_created", ())] and lead(work) == []
    [task] = work.state.tasks.values()
    assert (task.title, task.needs, task.priority) == ("Freeze it by hand", ["python"], "CRITICAL")
    assert parts(work, uid) == {"bob": "failed, task", "carol": "open"}
    work.do("carol", "directive done", directive=uid)
    assert shown(work, uid)["status"] == "done"  # the task makes bob's part good


def test_a_lost_agent_is_followed_by_the_planned_one_and_that_by_word_to_the_issuer() -> None:
    work = fleet()
    uid = issue(work, on_failure="agent carol")
    assert lead(work) == []
    lose(work, "bob")
    assert lead(work) == [("directive_reassigned", ("carol",))]
    assert parts(work, uid) == {"bob": "failed, agent", "carol": "open"}
    assert work.say("bob", "directive_done", re=uid) == "bob's part is failed already"  # back, and too late
    work.do("carol", "directive fail", directive=uid, reason="no access either")
    assert lead(work) == [("directive_escalated", ("alice",))]
    assert shown(work, uid)["status"] == "failed"


def test_a_stand_in_that_is_gone_itself_is_no_help() -> None:
    work = fleet()
    issue(work, on_failure="agent carol")
    lose(work, "carol")
    lose(work, "bob")
    assert lead(work) == [("directive_escalated", ("alice",))]


def test_who_does_not_acknowledge_in_time_has_failed() -> None:
    work = fleet()
    uid = issue(work, to=["bob", "carol"], ack=["bob"], ack_within="5m", on_failure="escalate")
    work.wait(299)
    assert lead(work) == []
    work.wait(2)
    assert lead(work) == [("directive_escalated", ("alice",))]
    assert parts(work, uid) == {"bob": "failed, escalate", "carol": "open"}
    again = issue(work, ack_within="5m", on_failure="escalate")
    work.do("bob", "directive ack", directive=again)
    work.wait(600)
    assert lead(work) == []


def test_an_agent_that_left_has_failed() -> None:
    work = fleet()
    issue(work, on_failure="agent carol")
    work.story.say("bob", "agent_left")
    assert lead(work) == [("directive_reassigned", ("carol",))]


def test_what_was_done_meanwhile_is_not_done_again() -> None:
    work = fleet()
    uid = issue(work, to=["bob", "dave"], on_failure="agent carol")
    lose(work, "bob")
    [late] = directives.duty(work.story.fleet.states["directives"], work.ctx("alice"))
    work.do("bob", "directive done", directive=uid)  # it was only away
    assert work.say("alice", late.type, term=1, re=uid, duty=late.key, **late.data).startswith("this part is done")
    assert parts(work, uid) == {"bob": "done", "dave": "open"}


def test_without_a_plan_nothing_follows_and_a_lost_agent_may_still_come_back() -> None:
    work = fleet()
    uid = issue(work)
    lose(work, "bob")
    assert lead(work) == []
    work.do("bob", "directive fail", directive=uid, reason="no access")
    assert (lead(work), shown(work, uid)["status"]) == ([], "failed")


def test_under_supervision_the_plan_waits_for_a_word() -> None:
    work = fleet()
    work.do("alice", "autonomy supervised")
    uid = issue(work, on_failure="agent carol")
    lose(work, "bob")
    assert lead(work) == [("proposal_made", ())] and lead(work) == []
    assert parts(work, uid) == {"bob": "open"}
    work.do("carol", "autonomy approve", all=True)
    assert lead(work) == [("directive_reassigned", ("carol",))]
    assert parts(work, uid) == {"bob": "failed, agent", "carol": "open"}


def test_word_to_people_needs_no_approval_and_reaches_them_wherever_they_are() -> None:
    work = fleet()
    work.do("alice", "autonomy manual")
    work.do("bob", "directive fail", directive=issue(work, on_failure="escalate"), reason="no access")
    assert lead(work) == [("directive_escalated", ("alice",))]
    [alert] = work.story.fleet.states["alerts"].waiting.values()
    assert (alert.kind, alert.text) == ("escalated", "bob failed at 'freeze the schema' (no access)")


def test_it_is_withdrawn_by_who_issued_it_or_an_admin() -> None:
    work = fleet()
    uid = work.do("bob", "directive issue", text="review my branch", to=["carol"], on_failure="escalate")
    with pytest.raises(Refused, match="only an admin or bob .whose directive it is. may"):
        work.do("carol", "directive withdraw", directive=uid)
    assert "only an admin or bob" in str(work.say("carol", "directive_withdrawn", re=uid))
    work.do("alice", "directive withdraw", directive=uid)  # who founded the fleet is its admin
    lose(work, "carol")
    assert (lead(work), shown(work, uid)["status"]) == ([], "withdrawn")
    with pytest.raises(Lost, match="it is withdrawn already"):
        work.do("bob", "directive withdraw", directive=uid)


def test_only_the_leader_follows_a_plan() -> None:
    work = fleet()
    uid = issue(work, on_failure="agent carol")
    reason = work.say(
        "bob", "directive_reassigned", re=uid, agent="carol", instead_of="bob", duty=f"contingency:{uid}:bob"
    )
    assert "only the leader" in str(reason) and parts(work, uid) == {"bob": "open"}


@pytest.mark.parametrize("plan", ["", "task", "agent", "agent nobody", "escalate now", "pray"])
def test_what_is_no_plan_is_refused(plan: str) -> None:
    with pytest.raises(Refused):
        issue(fleet(), on_failure=plan)


def test_who_is_not_asked_cannot_be_made_to_acknowledge() -> None:
    with pytest.raises(Refused, match="dave is not a recipient"):
        issue(fleet(), ack=["dave"])


def test_orders_and_what_comes_of_them_are_in_the_inbox() -> None:
    work = fleet()
    uid = issue(work, priority="high")
    state = work.story.fleet.states["messages"]
    [order] = [one for one in state.messages.values() if is_for(one, "bob")]
    assert (order.id, order.priority) == (uid, "HIGH")
    work.do("bob", "directive fail", directive=uid, reason="no access")
    assert [one.type for one in state.messages.values() if is_for(one, "alice")] == ["directive_failed"]


def test_one_to_more_than_an_event_can_name_lists_them_itself() -> None:
    work = fleet(**{f"agent{number}": [] for number in range(120)})
    what = directives.COMMANDS["directive issue"]
    [one] = what.decide(work.ctx("alice"), IssueDirective(text="x", to=["all"]))  # type: ignore[union-attr]
    assert one.to == () and len(one.data["agents"]) == 123
    uid = work.do("alice", "directive issue", text="x", to=["all"])
    assert is_for(work.story.fleet.states["messages"].messages[uid], "agent119")


def test_what_is_over_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitcoord.features.directives.state.OVER_MAX", 2)
    work = fleet()
    for number in range(4):
        work.now = times.later(work.now, 1)
        work.do("bob", "directive done", directive=issue(work, text=str(number)))
    listed = directives.COMMANDS["directive list"].ask(  # type: ignore[union-attr]
        work.ctx("alice"), ListDirectives(all=True)
    )
    assert [row["text"] for row in listed] == ["2", "3"]
