"""Dispatch: capability, then priority, then age, then load and speed; nobody gets more than its slots."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcoord.core import times
from gitcoord.core.commands import Query
from gitcoord.core.liveness import GONE, GOODBYE, LATE
from gitcoord.features.tasks import dispatch
from gitcoord.features.tasks.dispatch import OFFERED_AGAIN_S_MAX, RISES_AFTER_S
from gitcoord.features.tasks.duties import ACCEPT_S, GRACE_S
from gitcoord.features.tasks.state import Attempt, Task
from tests.features.work import COMMANDS, Work


def with_slots(**slots: int) -> Work:
    one = Work()
    for agent, number in slots.items():
        one.story.joined(agent)
        one.do(agent, "agent register", accept_assignments=True, slots=number)
    return one


def test_nobody_is_chosen_for_more_than_its_slots() -> None:
    one = with_slots(bob=1, carol=3)
    for number in range(6):
        one.create(f"{number}")
    one.do("carol", "task claim", task=_last(one))
    chosen = Counter(
        choice.agent
        for choice in dispatch.assignments(one.state, dispatch.workers(one.ctx("alice")), one.ctx("alice").age_s)
    )
    assert chosen == {"bob": 1, "carol": 2}


def given_to(one: Work) -> dict[str, str]:
    """Who has what, by title."""
    return {task.title: str(task.agent) for task in one.state.tasks.values() if task.agent}


def test_capability_comes_first() -> None:
    one = Work(bob=["python"], carol=["python", "rust"])
    one.create("a", needs=["rust", "python"])
    one.create("b", needs=["python"])
    one.lead()
    assert given_to(one) == {"a": "carol", "b": "bob"}


def test_then_priority_then_age() -> None:
    one = Work(bob=[])
    for title, priority in (("old", "low"), ("new", "low"), ("urgent", "critical"), ("high", "high")):
        one.create(title, priority=priority)
        one.wait(1)
    assert [row["title"] for row in one.ask("bob", "ready")] == ["urgent", "high", "old", "new"]
    one.lead()
    assert given_to(one) == {"urgent": "bob"}


def test_a_starved_task_rises_by_one_step_and_never_above_critical() -> None:
    one = Work(bob=[])
    for priority in ("low", "medium", "high", "critical"):
        one.create(f"starved {priority}", priority=priority)
        one.wait(1)
    one.wait(30 * RISES_AFTER_S)
    for priority in ("low", "medium", "high", "critical"):
        one.create(f"new {priority}", priority=priority)
        one.wait(1)
    assert [row["title"] for row in one.ask("bob", "ready")] == [
        "starved critical",
        "new critical",
        "starved high",
        "starved medium",
        "new high",
        "starved low",
        "new medium",
        "new low",
    ]


def test_who_is_overdue_rises_by_one_step_too_and_the_leader_says_so_once() -> None:
    one = Work(bob=["none of these"])
    one.create("usual", priority="medium", needs=["rust"])
    uid = one.create("late", priority="medium", deadline="1m", needs=["rust"])
    one.create("urgent", priority="critical", needs=["rust"])
    assert not any("overdue" in duty.content for duty in one.duties())
    one.wait(61)
    assert any("'late' is overdue since" in content for content in one.lead())
    assert one.task(uid).overdue and not any("overdue" in content for content in one.lead())
    titles = [task.title for task in dispatch.in_order(one.state, one.ctx("alice").age_s)]
    assert titles == ["urgent", "late", "usual"]


def _created_later(one: Work, title: str) -> str:
    """Of tasks of one moment the ids would decide which comes first."""
    one.wait(0.001)
    return one.create(title)


def test_then_load_then_speed() -> None:
    one = with_slots(bob=2, carol=2)
    for agent, needs_s in (("bob", 60), ("carol", 5)):
        uid = one.create("warming up")
        one.do(agent, "task claim", task=uid)
        one.do(agent, "task start", task=uid)
        one.wait(needs_s)
        one.do(agent, "task finish", task=uid)
    uids = [_created_later(one, f"{number}") for number in range(3)]
    one.lead()
    assert [one.task(uid).agent for uid in uids] == ["carol", "bob", "carol"]  # the quicker one; the idle one; again
    assert one.task(uids[0]).last.why == "0 of 2 slots taken, takes 5.0 s on average, best of 2"


def test_who_says_that_it_is_busy_comes_last() -> None:
    one = Work(bob=[], carol=[])
    one.do("bob", "agent set", status="busy")
    one.create("a")
    one.lead()
    assert given_to(one) == {"a": "carol"}


def test_another_one_tries_first_what_one_could_not_do() -> None:
    one = Work(bob=[], carol=[])
    uid = one.create("a")
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task fail", task=uid)
    one.wait(3600)
    one.lead()
    assert given_to(one) == {"a": "carol"}


@pytest.mark.parametrize("state", [GONE, GOODBYE])
def test_nobody_gets_work_who_is_away(state: str) -> None:
    one = Work(bob=[], carol=[])
    one.away["bob"] = state
    for title in ("a", "b"):
        one.create(title)
    one.lead()
    assert given_to(one) == {"a": "carol"}
    assert one.away.update(bob=LATE) is None and one.lead() and given_to(one) == {"a": "carol", "b": "bob"}


def test_a_task_that_is_meant_for_one_waits_for_it_but_not_when_it_is_away() -> None:
    one = Work(bob=[], carol=[])
    one.create("first", agent="carol")
    one.lead()
    one.create("second", agent="carol")
    assert not one.lead()
    [why] = [row for row in one.ask("bob", "task explain", task=_last(one))["agents"] if row["agent"] == "bob"]
    assert why["reason"] == "it is meant for carol"
    one.away["carol"] = GONE
    one.lead()
    assert given_to(one)["second"] == "bob"


def test_an_agent_that_did_not_ask_for_assignments_gets_none_and_explain_says_that_it_can_claim() -> None:
    one = Work()
    one.story.joined("bob")
    one.do("bob", "agent register", capabilities=["python"])
    uid = one.create("a", needs=["python"])
    assert not one.lead()
    explained = one.ask("alice", "task explain", task=uid)
    assert explained["because"] == f"it waits until bob claims it: `gitcoord task claim {uid[:8]}`"
    assert explained["agents"] == [{"agent": "bob", "reason": "it claims its tasks itself"}]
    one.do("bob", "agent set", slots=2)
    assert not one.lead()
    one.do("bob", "agent register", capabilities=["python"], accept_assignments=True)
    one.lead()
    assert given_to(one) == {"a": "bob"}


def test_a_task_for_an_agent_that_claims_waits_for_it() -> None:
    one = Work(carol=[])
    one.story.joined("bob")
    one.do("bob", "agent register")
    one.create("a", agent="bob")
    assert not one.lead()
    one.away["bob"] = GONE
    one.lead()
    assert given_to(one) == {"a": "carol"}


def test_what_is_assigned_is_marked_in_inbox_and_ready_until_it_is_accepted() -> None:
    one = Work(bob=[])
    uid, _ = one.create("mine"), one.create("not mine", agent="alice")
    one.lead()
    assert [(row["title"], row["status"]) for row in one.ask("bob", "ready")] == [
        ("mine", "assigned"),
        ("not mine", "ready"),
    ]
    [row] = one.ask("bob", "inbox")
    assert row["type"] == "task_assigned" and row["text"].startswith("assigned to you: mine (`gitcoord task claim")
    assert not one.ask("alice", "inbox") and not one.ask("bob", "inbox", **{"from": "carol"})
    one.do("bob", "task claim", task=uid)
    assert not one.ask("bob", "inbox")
    assert [row["title"] for row in one.ask("bob", "ready")] == ["not mine"]


def test_ready_shows_what_the_caller_can_claim_and_says_why_it_cannot_claim_the_others() -> None:
    one = Work(bob=["python"], carol=["rust"])
    first = one.create("for python", needs=["python"])
    one.create("for rust", needs=["rust"])
    one.create("for rust too", needs=["rust"])
    one.create("meant for carol", agent="carol")
    one.create("later", after=[first])
    assert [row["title"] for row in one.ask("bob", "ready")] == ["for python"]
    assert [row["title"] for row in one.ask("bob", "ready", agent="carol")] == [
        "for rust",
        "for rust too",
        "meant for carol",
    ]
    ready = COMMANDS["ready"]
    assert isinstance(ready, Query) and ready.beside is not None
    told = ready.beside(one.ctx("bob"), ready.arguments())
    assert told["cannot"] == [
        {"reason": "it lacks rust", "tasks": 2},
        {"reason": "it is meant for carol", "tasks": 1},
        {"reason": "it waits for other tasks", "tasks": 1},
    ]
    assert told["note"].startswith("bob cannot claim 4 more open tasks (2: it lacks rust; 1: it is meant for carol; ")


def test_what_nobody_accepts_is_offered_again_with_growing_pauses() -> None:
    one = Work(bob=[], carol=[], dave=[])
    uid = one.create("a")
    given_s: list[float] = []
    for second in range(0, 6 * 3600, 30):
        if any("gets" in content for content in one.lead()):
            given_s.append(second)
        one.wait(30)
    pauses = [later - earlier for earlier, later in zip(given_s, given_s[1:])]
    assert sum(second <= 14 * 60 for second in given_s) <= 3
    assert all(after >= 1.5 * before for before, after in zip(pauses, pauses[1:])), pauses
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task release", task=uid)
    one.wait(ACCEPT_S)
    one.lead()
    assert one.task(uid).status == "assigned"  # somebody looked, so the pauses begin anew


def test_the_pauses_between_offers_have_a_limit() -> None:
    attempts = [Attempt("bob", "", outcome="unaccepted") for _ in range(60)]
    task = Task("t", "a", "", "alice", attempts=attempts)
    assert dispatch.offered_again_s(task, lambda at, position: 0.0) == OFFERED_AGAIN_S_MAX


def _last(one: Work) -> str:
    return list(one.state.tasks)[-1]


def test_what_is_not_taken_on_in_time_goes_to_another_and_that_is_no_failure() -> None:
    one = Work(bob=[], carol=[])
    uid = one.create("a")
    one.lead()
    assert one.task(uid).agent == "bob"
    one.wait(ACCEPT_S)
    assert not one.lead()
    one.wait(1)
    assert one.lead() == ["'a' is taken back: bob did not accept it within 2m"]
    one.lead()
    assert one.task(uid).agent == "carol" and one.task(uid).failures == 0


def test_who_takes_it_on_just_then_keeps_it_and_it_can_be_taken_back_later() -> None:
    one = Work(bob=[])
    uid = one.create("a")
    one.lead()
    one.wait(ACCEPT_S + 1)
    meant = one.duties()
    one.do("bob", "task claim", task=uid)
    assert len(one.lead(meant)) == 1 and one.task(uid).status == "accepted"
    one.story.say("bob", "agent_left")
    assert one.lead() == ["'a' is taken back: bob has left the fleet"]
    assert one.task(uid).status == "ready"


def test_what_takes_longer_than_it_may_is_taken_back_and_that_is_a_failure() -> None:
    one = Work(bob=[], carol=[])
    uid = one.create("a", time_limit="10m")
    one.do("bob", "task claim", task=uid)
    one.wait(600 + GRACE_S)
    assert not one.lead()
    one.wait(1)
    assert one.lead() == ["'a' is taken back: bob had it for more than 10m"]
    assert one.task(uid).failures == 1


def test_who_could_not_do_it_rests_while_another_one_tries() -> None:
    one = Work(bob=[])
    uid = one.create("a")
    one.lead()
    one.do("bob", "task fail", task=uid, reason="no access")
    assert not one.lead()
    assert one.ask("bob", "task explain", task=uid)["because"] == (
        "no capable agent is free (bob: its last attempt was failed: it may try again after 5s)"
    )
    one.story.joined("carol")
    one.do("carol", "agent register", accept_assignments=True)
    one.lead()
    assert one.task(uid).agent == "carol"
    one.do("carol", "task release", task=uid)
    one.wait(10)
    one.lead()
    assert one.task(uid).agent == "bob"


def test_explain_says_why_nobody_has_it() -> None:
    one = Work()
    uid = one.create("a", needs=["rust", "python"])

    def because() -> str:
        return str(one.ask("alice", "task explain", task=uid)["because"])

    assert because() == "no agent is registered for work: run `gitcoord agent register` for one"
    for agent, capability in (("bob", "python"), ("dave", "go")):
        one.story.joined(agent)
        one.do(agent, "agent register", accept_assignments=True, capabilities=[capability])
    assert because() == "no agent has the capability rust: `gitcoord agent list` lists capabilities"
    one.do("dave", "agent set", capabilities=["rust"])
    assert because().startswith(("no agent has all of python, rust", "no agent has all of rust, python"))
    one.do("dave", "agent set", capabilities=["rust", "python"], status="paused")
    assert because() == "no capable agent is free (dave: it is paused)"
    one.do("dave", "agent set", status="active")
    other = one.create("other")
    one.do("dave", "task claim", task=other)
    assert because() == "no capable agent is free (dave: it is full (1 of 1))"
    one.do("dave", "task finish", task=other)
    assert because().startswith("dave can have it")
    one.lead()
    since = times.shown(one.now)
    assert (
        because() == f"dave has it (assigned, attempt 1, since {since}): has rust, python, 0 of 1 slots taken, "
        "the only one free"
    )


def test_under_supervision_an_assignment_waits_and_nobody_gets_more_than_its_slots_by_approval() -> None:
    one = Work(bob=[], carol=[])
    one.do("alice", "autonomy supervised")
    first, second = _created_later(one, "first"), _created_later(one, "second")
    assert [content.split(":")[0] for content in one.lead()] == ["proposes"] * 2
    assert not one.state.held and not one.lead()
    one.do("carol", "task claim", task=one.create("carol's own"))  # so that what was proposed for her must wait
    one.do("bob", "autonomy approve", all=True)
    one.lead()
    assert given_to(one) == {"first": "bob", "carol's own": "carol"}
    one.do("bob", "task finish", task=first)
    assert not one.lead() and one.task(second).agent is None
    one.do("carol", "task finish", task=_last(one))
    one.lead()
    assert one.task(second).agent == "carol"


def test_what_was_rejected_is_not_given_and_keeps_nothing_from_the_others() -> None:
    one = Work(bob=[])
    one.do("alice", "autonomy supervised")
    first, second = one.create("first"), one.create("second")
    one.lead()
    one.do("bob", "autonomy reject", all=True, why="not today")
    one.lead()
    one.do("bob", "autonomy approve", all=True)
    one.lead()
    assert given_to(one) == {"second": "bob"}
    assert "bob rejected it (not today): it can be claimed" in one.ask("bob", "task explain", task=first)["because"]
    assert "bob has it" in one.ask("bob", "task explain", task=second)["because"]


fleets = st.dictionaries(
    st.sampled_from(["bob", "carol", "dave"]),
    st.tuples(st.lists(st.sampled_from(["python", "rust"]), max_size=2, unique=True), st.integers(1, 3)),
    min_size=1,
)
wishes = st.lists(
    st.tuples(st.lists(st.sampled_from(["python", "rust"]), max_size=2, unique=True), st.sampled_from(["low", "high"])),
    max_size=12,
)


STEPS = st.sampled_from(["lead", "finish", "fail", "claim", "wait", "die", "back"])


@settings(max_examples=60, deadline=None)
@given(fleets, wishes, st.lists(STEPS, max_size=25), st.randoms(use_true_random=False))
def test_nobody_gets_more_than_its_slots_and_all_is_done_in_the_end(
    fleet: dict[str, tuple[list[str], int]], wanted: list[tuple[list[str], str]], course: list[str], rng: Random
) -> None:
    one = Work()
    for agent, (capabilities, slots) in fleet.items():
        one.story.joined(agent)
        one.do(agent, "agent register", accept_assignments=True, capabilities=capabilities, slots=slots)
    for number, (needs, priority) in enumerate(wanted):
        one.create(f"{number}", needs=needs, priority=priority, attempts=100)
    for step in [*course, *["back", "wait", "lead", "finish"] * (len(wanted) + 2)]:
        _step(one, step, fleet, rng)
    for task in one.state.tasks.values():
        able = any(set(task.needs) <= set(capabilities) for capabilities, _ in fleet.values())
        assert task.status == ("done" if able else "ready"), task


def _step(one: Work, step: str, fleet: dict[str, tuple[list[str], int]], rng: Random) -> None:
    agent = rng.choice(sorted(fleet))
    holding = list(one.state.held.get(agent, ()))
    if step == "lead":
        before = {name: len(held) for name, held in one.state.held.items()}
        one.lead()
        for name, (capabilities, slots) in fleet.items():
            held = one.state.held.get(name, {})
            assert len(held) <= max(slots, before.get(name, 0))
            assert all(set(one.task(uid).needs) <= set(capabilities) for uid in held)
    elif step == "finish":
        for uid in [uid for held in one.state.held.values() for uid in held]:
            one.do(str(one.task(uid).agent), "task finish", task=uid)
    elif step == "fail" and holding:
        one.do(agent, "task fail", task=holding[0])
    elif step == "claim":
        able = [row["id"] for row in one.ask(agent, "ready", agent=agent)]
        for uid in able[:1]:
            one.do(agent, "task claim", task=uid)
    elif step == "wait":
        one.wait(700)
    elif step == "die":
        one.away[agent] = GONE
    elif step == "back":
        one.away.clear()
