"""Tasks: one agent at a time has one, an old attempt changes nothing, and whoever asks is told why."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcoord.core import times
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.format.event import uid_of
from gitcoord.features import tasks
from gitcoord.features.tasks import changes, stored
from gitcoord.features.tasks import queries as task_queries
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.events import ATTEMPTS_MAX, BODY_MAX, EVENTS
from gitcoord.features.tasks.state import HELD, OVER, STATUSES
from tests.features.work import Work


def work() -> Work:
    return Work(bob=["python"], carol=["python"])


def status(one: Work, uid: str) -> str:
    return one.task(uid).status


# One winner


def test_first_claim_in_ledger_order_wins_and_the_loser_is_told_who_won() -> None:
    one = work()
    uid = one.create()
    assert one.say("bob", "task_claimed", re=uid) is None
    assert one.say("carol", "task_claimed", re=uid) == f"bob has it (accepted, attempt 1, since {times.shown(one.now)})"
    with pytest.raises(Lost, match="bob has it"):
        one.do("carol", "task claim", task=uid)
    assert one.do("bob", "task claim", task=uid) == ""  # it has it already
    assert one.task(uid).agent == "bob"


def test_a_claim_before_the_leaders_word_makes_that_one_void() -> None:
    one = work()
    uid = one.create()
    meant = one.duties()
    one.do("carol", "task claim", task=uid)
    one.lead(meant)
    assert one.task(uid).agent == "carol" and one.task(uid).attempt == 1


def test_only_the_leader_assigns_and_takes_back() -> None:
    one = work()
    uid = one.create()
    assert one.say("bob", "task_assigned", re=uid, agent="bob", attempt=1) == (
        "bob (member) may not write task_assigned: only the leader (by its term) may"
    )
    one.do("bob", "task claim", task=uid)
    assert "or bob (whose attempt 1 at the task it is) may" in str(one.say("carol", "task_released", re=uid, attempt=1))
    assert "only the leader" in str(one.say("bob", "task_overdue", re=uid))
    assert one.say("alice", "task_assigned", re=one.create(), term=1, agent="bob", attempt=2) == "it is ready"
    assert "no task has this id" in str(one.say("alice", "task_assigned", re="0" * 16, term=1, agent="bob", attempt=1))


# A life


def test_a_task_is_assigned_taken_on_started_and_done() -> None:
    one = work()
    uid = one.create("Mend the parser", needs=["Python"], data='{"file": "a.py"}')
    assert one.lead() == ["bob gets 'Mend the parser': has python, 0 of 1 slots taken, best of 2"]
    for name, expected in (("claim", "accepted"), ("start", "running")):
        one.do("bob", f"task {name}", task=uid)
        assert status(one, uid) == expected
    one.do("bob", "task progress", task=uid, share=0.5, text="tests are written")
    assert one.ask("bob", "task show", task=uid)["share"] == 0.5
    one.do("bob", "task progress", task=uid, ask="Which version?")
    assert status(one, uid) == "input-required" and one.task(uid).text == "Which version?"
    one.do("bob", "task start", task=uid)
    one.wait(30)
    one.do("bob", "task finish", task=uid, result="merged", artifact=["refs/heads/main"])
    shown = one.ask("carol", "task show", task=uid[:6])
    assert (shown["status"], shown["agent"], shown["result"], shown["artifacts"], shown["data"]) == (
        "done",
        "bob",
        "merged",
        ["refs/heads/main"],
        {"file": "a.py"},
    )
    assert one.state.speeds == {"bob": {"python": [1, 30.0]}}
    assert not one.state.held and not one.state.ready


def test_what_an_agent_must_know_is_asked_of_whoever_opened_the_task() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    asked = one.do("bob", "task progress", task=uid, ask="Which version?")
    assert [row["id"] for row in one.ask("alice", "inbox")] == [asked]
    assert one.task(uid).status == "input-required" and one.task(uid).text == "Which version?"


def test_a_result_twice_is_told_and_the_first_one_counts() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task finish", task=uid, result="first")
    reason = one.say("bob", "task_finished", re=uid, attempt=1, result="second")
    assert reason == f"attempt 1 is over (done): it is done, by bob on {times.shown(one.now)}"
    assert one.task(uid).result == "first"


def test_what_is_over_cannot_be_claimed_nor_cancelled() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task finish", task=uid)
    with pytest.raises(Lost, match="it is done, by bob"):
        one.do("carol", "task claim", task=uid)
    with pytest.raises(Refused, match="cannot be cancelled: it is done"):
        one.do("alice", "task cancel", task=uid)
    other = one.create()
    one.do("alice", "task cancel", task=other, reason="not needed")
    assert one.do("alice", "task cancel", task=other) == ""
    with pytest.raises(Refused, match=r"cannot be claimed: it was cancelled \(not needed\)"):
        one.do("bob", "task claim", task=other)
    assert one.say("bob", "task_claimed", re=other) == "it was cancelled (not needed)"


def test_who_does_not_have_a_task_can_say_nothing_of_it() -> None:
    one = work()
    uid = one.create(needs=["rust"])
    with pytest.raises(Refused, match="bob does not have .*: run"):
        one.do("bob", "task finish", task=uid)
    with pytest.raises(Refused, match="needs rust: `gitcoord agent register --capabilities rust`"):
        one.do("bob", "task claim", task=uid)
    with pytest.raises(Refused, match="no task 'zzz'"):
        one.do("bob", "task claim", task="zzz")
    assert one.say("bob", "task_finished", re=uid, attempt=1) == "there was no attempt 1 yet: it is ready"


# Attempts


def test_a_result_of_an_older_attempt_is_recorded_and_changes_nothing() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task start", task=uid)
    one.lead([*tasks.release_all(one.state, "bob", "bob is gone")])
    assert one.task(uid).failures == 1
    one.do("carol", "task claim", task=uid)
    with pytest.raises(AssertionError, match="attempt 1 is over .released.: carol has it"):
        one.do("bob", "task finish", task=uid, result="late")
    assert one.task(uid).result == "" and one.task(uid).attempts[0].late.startswith("finished at")
    one.do("carol", "task finish", task=uid, result="mine")
    assert one.task(uid).result == "mine"


def test_who_comes_back_to_a_task_says_which_attempt_is_meant() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task release", task=uid)
    one.do("bob", "task claim", task=uid)
    with pytest.raises(AssertionError, match="attempt 1 is over .released.: bob has it"):
        one.do("bob", "task finish", task=uid, attempt=1)
    one.do("bob", "task finish", task=uid, attempt=2)
    with pytest.raises(Refused, match="attempt 3 at .* is not bob's"):
        one.do("bob", "task finish", task=uid, attempt=3)


def test_the_creator_or_an_admin_gives_a_task_to_another_agent_and_nobody_else_does() -> None:
    one = Work(bob=[], carol=[], dave=[])
    uid = one.do("bob", "task create", title="a")
    one.do("carol", "task claim", task=uid)
    with pytest.raises(Refused, match="only an admin or bob .whose task it is. may"):
        one.do("dave", "task reassign", task=uid, agent="dave")
    one.do("bob", "task reassign", task=uid, agent="dave", reason="carol is on leave")
    task = one.task(uid)
    assert (task.agent, task.status, task.attempt, task.failures) == ("dave", "assigned", 2, 0)
    assert task.attempts[0].reason == "taken back by bob: carol is on leave"
    assert [row["text"] for row in one.ask("dave", "inbox") if row["type"] == "task_assigned"]
    assert "attempt 1 is over (released)" in str(one.say("carol", "task_finished", re=uid, attempt=1))
    one.do("alice", "task reassign", task=uid, agent="carol")  # an admin
    assert task.agent == "carol"
    for refused, agent in (("carol has it already", "carol"), ("no agent 'nobody'", "nobody")):
        with pytest.raises(Refused, match=refused):
            one.do("bob", "task reassign", task=uid, agent=agent)
    one.do("carol", "task finish", task=uid)
    with pytest.raises(Refused, match="cannot be reassigned: it is done"):
        one.do("bob", "task reassign", task=uid, agent="dave")


def test_a_ready_task_can_be_reassigned_and_of_two_at_once_the_first_counts() -> None:
    one = Work(bob=[], carol=[])
    uid = one.create("a")
    assert one.say("alice", "task_reassigned", re=uid, agent="bob", attempt=1) is None
    assert "bob has it" in str(one.say("alice", "task_reassigned", re=uid, agent="carol", attempt=1))
    assert one.task(uid).agent == "bob" and one.task(uid).last.why == "alice reassigned it"


def test_an_agent_that_looks_for_no_tasks_has_longer_to_accept_one_that_a_person_gave_to_it() -> None:
    one = Work()
    one.story.joined("bob")
    uid = one.create("a")
    one.do("alice", "task reassign", task=uid, agent="bob")
    one.wait(1800)
    assert not one.lead()
    one.wait(1)
    assert one.lead() == ["'a' is taken back: bob did not accept it within 30m"]


def test_release_with_force_takes_a_task_from_its_agent() -> None:
    one = Work(bob=[], carol=[])
    uid = one.create("a")
    with pytest.raises(Refused, match="no agent has"):
        one.do("alice", "task release", task=uid, force=True)
    one.do("bob", "task claim", task=uid)
    with pytest.raises(Refused, match="only an admin or alice .whose task it is. may"):
        one.do("carol", "task release", task=uid, force=True)
    one.do("alice", "task release", task=uid, reason="bob is on leave", force=True)
    task = one.task(uid)
    assert (task.status, task.failures, task.last.reason) == ("ready", 0, "taken back by alice: bob is on leave")
    assert "attempt 1 is over (released)" in str(one.say("bob", "task_progressed", re=uid, attempt=1))
    assert "it is ready" in str(one.say("alice", "task_reassigned", re=uid, attempt=2))


def test_a_task_that_fails_too_often_has_failed() -> None:
    one = work()
    uid = one.create(attempts=2)
    for expected in ("ready", "failed"):
        one.do("bob", "task claim", task=uid)
        one.do("bob", "task fail", task=uid, reason="no access")
        assert status(one, uid) == expected
    assert one.task(uid).reason == "tried 2 times; last: no access"


def test_handing_back_is_no_failure_but_goes_not_on_for_ever() -> None:
    one = work()
    uid = one.create(attempts=1)
    for _ in range(ATTEMPTS_MAX):
        assert status(one, uid) == "ready"
        one.do("bob", "task claim", task=uid)
        one.do("bob", "task release", task=uid, reason="going home")
    assert status(one, uid) == "failed"


# Dependencies


def test_a_task_waits_for_those_before_it_and_becomes_ready_when_they_are_done() -> None:
    one = work()
    first, second = one.create("first"), one.create("second")
    last = one.create("last", after=[first, second, first])
    assert status(one, last) == "created"
    with pytest.raises(Refused, match="it waits for"):
        one.do("bob", "task claim", task=last)
    assert f"it waits for {first[:8]} 'first': it is ready" in one.ask("bob", "task explain", task=last)["because"]
    for uid in (first, second):
        assert status(one, last) == "created"
        one.do("bob", "task claim", task=uid)
        one.do("bob", "task finish", task=uid)
    assert status(one, last) == "ready"
    assert status(one, one.create("later", after=[first])) == "ready"


def test_who_waits_for_what_failed_says_so() -> None:
    one = work()
    first = one.create("first", attempts=1)
    last = one.create("last", after=[first])
    one.do("bob", "task claim", task=first)
    one.do("bob", "task fail", task=first, reason="no access")
    assert one.ask("bob", "task explain", task=last)["because"] == (
        f"it waits for {first[:8]} 'first', and it has failed (tried once; last: no access): "
        "cancel it, or create it again"
    )
    with pytest.raises(Refused, match="the new task would wait forever for"):
        one.create("another", after=[first])
    one.do("alice", "task cancel", task=last)
    assert not one.state.dependants.get(first)


def test_no_circle_of_tasks_can_come_about() -> None:
    one = work()
    to_come = uid_of("bob", "h" * 16)
    data: dict[str, Any] = {"title": "egg", "after": [to_come]}
    egg = one.story.say("bob", "task_created", data=data, uid="e" * 16).event.uid
    hen = one.story.say("bob", "task_created", data={"title": "hen", "after": [egg]}, uid="h" * 16).event.uid
    refusals = one.story.fleet.refusals
    assert hen == to_come
    assert refusals[egg] == f"it would wait for {hen[:8]}, and the ledger has no such task before it"
    assert refusals[hen] == f"it would wait for {egg[:8]}, and the ledger has no such task before it"


# Limits


def test_what_is_too_large_is_refused_with_the_remedy() -> None:
    one = work()
    with pytest.raises(Refused, match=f"{BODY_MAX + 1} characters.*write longer text to a file"):
        one.create(body="x" * (BODY_MAX + 1))
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    with pytest.raises(Refused, match="the result has 20000 characters"):
        one.do("bob", "task finish", task=uid, result="x" * 20_000)
    for wrong in ({"deadline": "tomorrow"}, {"agent": "nobody"}, {"after": ["zzzz"]}):
        with pytest.raises(Refused):
            one.create(**wrong)


def test_open_tasks_have_a_limit_and_the_oldest_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "OPEN_MAX", 3)
    monkeypatch.setattr(task_state, "OVER_MAX", 2)
    one = work()
    uids = [one.create() for _ in range(3)]
    assert "finish or cancel some" in str(one.say("bob", "task_created", title="one more"))
    for uid in uids:
        one.do("alice", "task cancel", task=uid)
    assert list(one.state.tasks) == uids[1:]
    assert one.state.open_bytes == 0 and one.state.over_bytes == sum(one.task(uid).size for uid in uids[1:])
    assert "closed long ago" in str(one.say("bob", "task_claimed", re=uids[0]))


def test_texts_of_open_tasks_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "OPEN_BYTES_MAX", 10_000)
    one = work()
    one.create(body="x" * 8000)
    assert "keep long texts in files" in str(one.say("bob", "task_created", title="more", body="x" * 8000))


# All orders


def test_the_table_knows_every_status_and_every_event_in_it() -> None:
    assert tuple(tasks.NEXT) == STATUSES == get_args(task_queries.Status)
    for moves in tasks.NEXT.values():
        assert set(moves) <= set(EVENTS) and set(moves.values()) <= set(STATUSES)
    assert all(tasks.NEXT[one] == {"task_reopened": "ready"} for one in OVER)
    assert all("task_finished" in tasks.NEXT[one] for one in HELD)
    assert set(changes.CHANGES) == set(EVENTS.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "lost"},
        {"status": "running"},
        {"priority": "URGENT"},
        {"title": 5},
        {"deadline": 1.0},
        {"needs": [1]},
        {"attempts": ["bob"]},
        {"attempts": [{"agent": "bob", "since": 5}]},
        {"unheard": "of"},
        {"id": None},
    ],
)
def test_a_state_that_nobody_of_us_wrote_is_not_read(wrong: dict[str, Any]) -> None:
    one = work()
    one.create(deadline="1h")
    dumped = json.loads(json.dumps(stored.dump(one.state)))
    assert stored.dump(stored.load(dumped)) == dumped
    dumped["open"][0].update(wrong)
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        stored.load(dumped)


moves = st.tuples(
    st.sampled_from(["alice", "bob", "carol"]),
    st.sampled_from([type_ for type_ in EVENTS if type_ != "task_created"]),
    st.integers(0, 2),
    st.integers(1, 4),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(moves, max_size=40))
def test_whatever_is_said_a_task_has_one_agent_and_is_done_at_most_once(said: list[tuple[str, str, int, int]]) -> None:
    one = work()
    uids = [one.create(attempts=2), one.create(deadline="1h")]
    uids.append(one.create(after=[uids[0]]))
    effects: dict[str, list[str]] = {uid: [] for uid in uids}
    for actor, type_, which, attempt in said:
        uid, before = uids[which], one.task(uids[which])
        had, number, was = before.agent, before.attempt, before.status
        term = 1 if actor == "alice" else None
        reason = one.say(actor, type_, re=uid, term=term, attempt=attempt, agent="bob")
        after = one.task(uid)
        if was in OVER and type_ not in ("task_commented", "task_reopened"):
            assert reason is not None and after.status == was
        if type_ in ("task_finished", "task_failed", "task_progressed") and (actor != had or attempt != number):
            assert reason is not None and after.status == was  # another's, or an older attempt's
        if had is not None and after.agent not in (None, had) and type_ != "task_reassigned":
            raise AssertionError(f"{after.agent} has what {had} had")
        if reason is None and type_ == "task_finished":
            effects[uid].append(actor)
        if reason is None and type_ == "task_reopened":
            effects[uid].clear()  # it is to be done once more
    assert all(len(done) <= 1 for done in effects.values())
    assert all((one.task(uid).status == "done") == bool(done) for uid, done in effects.items())
    _consistent(one)


def _consistent(one: Work) -> None:
    """The indices say what the tasks say, and come back from JSON."""
    state = one.state
    assert set(state.ready) == {uid for uid, task in state.tasks.items() if task.status == "ready"}
    held = {uid: agent for agent, uids in state.held.items() for uid in uids}
    assert held == {uid: str(task.agent).casefold() for uid, task in state.tasks.items() if task.status in HELD}
    again = stored.load(stored.dump(state))
    assert stored.dump(again) == stored.dump(state)
    for name in ("tasks", "over", "ready", "held", "dated", "dependants", "speeds", "open_bytes", "over_bytes"):
        mine, theirs = getattr(state, name), getattr(again, name)
        if name in ("dependants", "held"):
            mine, theirs = ({k: v for k, v in x.items() if v} for x in (mine, theirs))
        assert mine == theirs, name
