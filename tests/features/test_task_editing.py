"""Edits of tasks: text, labels, comments and reopening; who may, within which bounds, and what follows from it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from gitcoord.core.errors import Refused
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold import quotas
from gitcoord.features import FEATURES, tasks
from gitcoord.features.tasks import revisions
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.events import ATTEMPTS_MAX, LABELS_MAX
from tests.features.work import Work


def work() -> Work:
    return Work(bob=["python"], carol=["python"])


def same_after_json(one: Work) -> bool:
    """Whether the state, its indices too, comes back from a checkpoint as it is."""
    again = tasks.load(json.loads(json.dumps(tasks.dump(one.state))))
    return dataclasses.asdict(again) == dataclasses.asdict(one.state)


def test_an_edit_changes_what_is_given_and_the_order_of_ready_tasks_follows() -> None:
    one = work()
    uid, other = one.create("Fix", body="old"), one.create("other")
    one.do("alice", "task edit", task=other, priority="critical", title="Other", needs=["python"])
    changed = one.task(other)
    assert (changed.title, changed.priority, changed.needs, changed.body) == ("Other", "CRITICAL", ["python"], "")
    assert [row["id"] for row in one.ask("bob", "ready")] == [other, uid]
    one.do("alice", "task edit", task=uid, body="new")
    assert one.ask("bob", "task show", task=uid)["body"] == "new"
    assert one.do("alice", "task edit", task=uid, body="new") == ""  # it is so already
    assert same_after_json(one)


def test_only_the_creator_and_admins_edit_label_and_reopen_and_everybody_comments() -> None:
    one = work()
    uid = one.do("bob", "task create", title="bob's")
    for type_, data in (("task_edited", {"title": "x"}), ("task_labelled", {"add": ["x"]}), ("task_reopened", {})):
        assert "bob (whose task it is) may" in str(one.say("carol", type_, re=uid, **data))
    one.do("bob", "task edit", task=uid, priority="high")
    one.do("alice", "task label", task=uid, add=["x"])  # an admin
    one.do("carol", "task comment", task=uid, text="Look at the lexer")
    assert (one.task(uid).priority, one.task(uid).labels, len(one.task(uid).comments)) == ("HIGH", ["x"], 1)


def test_a_deadline_is_set_moved_and_taken_away_and_passes_once_each() -> None:
    one = work()
    uid = one.create("Fix", deadline="1m")
    one.wait(61)
    assert "overdue" in one.lead()[-1] and one.task(uid).overdue
    one.do("alice", "task edit", task=uid, deadline="1h")
    assert not one.task(uid).overdue
    one.wait(3601)
    assert "overdue" in one.lead()[-1] and one.task(uid).overdue
    one.do("alice", "task edit", task=uid, deadline="none")
    assert one.task(uid).deadline is None and not one.task(uid).overdue and not one.state.dated


def test_labels_are_bounded_and_a_change_that_changes_nothing_is_void() -> None:
    one = work()
    uid = one.create()
    one.do("alice", "task label", task=uid, add=[f"label {number}" for number in range(LABELS_MAX)])
    with pytest.raises(Refused, match=f"at most {LABELS_MAX} labels"):
        one.do("alice", "task label", task=uid, add=["one more"])
    assert "at most" in str(one.say("alice", "task_labelled", re=uid, add=["one more"]))
    assert "these labels already" in str(one.say("alice", "task_labelled", re=uid, add=["label 1"]))
    one.do("alice", "task label", task=uid, remove=["label 1"], add=["one more"])
    assert "label 1" not in one.task(uid).labels and "one more" in one.task(uid).labels


def test_edits_count_against_the_quota_of_the_tasks_creator_and_give_back_what_they_shorten() -> None:
    one = work()
    uid = one.create(body="x" * 10_000)
    before = one.state.by_author["alice"][1]
    for _ in range(3):  # what is replaced does not count
        one.do("alice", "task edit", task=uid, body="y" * 12_000)
        one.do("alice", "task edit", task=uid, body="z" * 2000)
    assert one.state.by_author["alice"][1] == before - 8000 == one.state.open_bytes
    one.state.by_author["alice"][1] = quotas.TASK_BYTES_OPEN - 100
    assert "bytes of open tasks" in str(one.say("alice", "task_edited", re=uid, body="x" * 5000))
    assert one.task(uid).body == "z" * 2000


def test_comments_are_read_from_the_log_and_the_oldest_are_left_to_it() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    for number in range(revisions.COMMENTS_KEPT + 5):
        one.do("carol", "task comment", task=uid, text=f"comment {number}")
    assert len(one.task(uid).comments) == revisions.COMMENTS_KEPT
    event = one.story.fleet.states["messages"].messages
    assert [one for one in event.values() if one.type == "task_commented" and "bob" in one.to]  # its agent is told
    assert same_after_json(one)


@pytest.mark.parametrize("how", ["finish", "fail", "cancel"])
def test_a_closed_task_is_reopened_with_all_its_attempts(how: str) -> None:
    one = work()
    uid = one.create(attempts=1, deadline="1h")
    one.do("bob", "task claim", task=uid)
    one.do("alice" if how == "cancel" else "bob", f"task {how}", task=uid)
    with pytest.raises(Refused, match="task reopen"):
        one.do("alice", "task edit", task=uid, title="x")
    assert one.task(uid).status in task_state.OVER
    one.do("alice", "task reopen", task=uid, reason="once more")
    task = one.task(uid)
    assert (task.status, task.failures, task.attempt, task.over, task.result) == ("ready", 0, 1, "", "")
    assert one.state.over == {} and one.state.over_bytes == 0 and uid in one.state.ready and uid in one.state.dated
    assert same_after_json(one)
    one.do("carol", "task claim", task=uid)
    one.do("carol", "task finish", task=uid)
    assert one.task(uid).status == "done" and one.do("alice", "task reopen", task=uid)


def test_a_reopened_task_waits_for_what_is_not_done_yet() -> None:
    one = work()
    first = one.create("first")
    second = one.create("second", after=[first])
    one.do("alice", "task cancel", task=second)
    one.do("alice", "task reopen", task=second)
    assert one.task(second).status == "created" and one.state.dependants == {first: {second: None}}
    one.do("alice", "task cancel", task=second)
    one.do("bob", "task claim", task=first)
    one.do("bob", "task finish", task=first)
    one.do("alice", "task reopen", task=second)
    assert one.task(second).status == "ready" and one.task(second).waits == []
    assert same_after_json(one)


def test_what_waited_for_a_failed_task_goes_on_once_that_is_reopened_and_done() -> None:
    one = work()
    first = one.create("first", attempts=1)
    second = one.create("second", after=[first])
    one.do("bob", "task claim", task=first)
    one.do("bob", "task fail", task=first)
    blocked = next(row["blocked"] for row in one.ask("bob", "task list") if row["id"] == second)
    assert blocked == f"{first[:8]}, which it waits for, is failed: reopen that one, or cancel this one"
    one.do("alice", "task reopen", task=first)
    blocked = next(row["blocked"] for row in one.ask("bob", "task list") if row["id"] == second)
    assert blocked == f"waits for {first[:8]} (ready)"
    one.do("bob", "task claim", task=first)
    one.do("bob", "task finish", task=first)
    assert one.task(second).status == "ready"


def test_a_task_with_the_most_attempts_is_not_reopened() -> None:
    one = work()
    uid = one.create()
    task = one.task(uid)
    for _ in range(ATTEMPTS_MAX):
        one.state.give(task, "bob", at=one.now, position=1, status="accepted")
        one.state.take_back(task, "failed", at=one.now, position=1, reason="")
    one.state.end(task, "failed", at=one.now, position=1)
    assert "no task has more" in str(one.say("alice", "task_reopened", re=uid))
    with pytest.raises(Refused, match="no task has more"):
        one.do("alice", "task reopen", task=uid)


def test_a_question_in_a_task_is_why_it_is_blocked() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task progress", task=uid, ask="Which version?")
    assert one.ask("bob", "task list")[0]["blocked"] == "bob asks: Which version?"


def test_branch_and_pull_request_are_told_with_the_work_and_corrected_by_an_edit() -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task start", task=uid, branch="bob/lexer")
    one.do("bob", "task progress", task=uid, pull_request=12)
    assert (one.task(uid).branch, one.task(uid).pull_request) == ("bob/lexer", 12)
    one.do("bob", "task finish", task=uid)
    shown = one.ask("carol", "task show", task=uid)
    assert (shown["branch"], shown["pull_request"]) == ("bob/lexer", 12)
    other = one.create()
    one.do("alice", "task edit", task=other, branch="x", pull_request=3)
    assert (one.task(other).branch, one.task(other).pull_request) == ("x", 3)


@pytest.mark.parametrize(
    ("here", "told"), [("bob/lexer", "bob/lexer"), ("main", ""), ("", ""), ("x" * 251, ""), ("a\u202eb", "")]
)
def test_the_branch_that_is_checked_out_is_the_tasks_unless_it_is_everybodys(here: str, told: str) -> None:
    one = work()
    uid = one.create()
    one.do("bob", "task claim", task=uid)
    what = tasks.COMMANDS["task start"]
    ctx = dataclasses.replace(one.ctx("bob"), branch=lambda: here)
    [event] = what.decide(ctx, what.arguments.model_validate({"task": uid}))  # type: ignore[union-attr]
    assert one.say("bob", "task_started", re=uid, **event.data) is None
    assert one.task(uid).branch == told


def test_a_task_of_a_workflow_is_not_changed_but_by_its_workflow() -> None:
    one = work()
    uid = one.create()
    one.task(uid).workflow = {"run": "0" * 16, "step": "a"}
    with pytest.raises(Refused, match="belongs to a workflow"):
        one.do("alice", "task edit", task=uid, title="x")
    assert "belongs to a workflow" in str(one.say("alice", "task_edited", re=uid, title="x"))
    one.say("alice", "task_cancelled", re=uid)
    assert "belongs to a workflow" in str(one.say("alice", "task_reopened", re=uid))


def test_the_search_finds_words_in_text_labels_results_and_branches_and_shows_open_tasks_first() -> None:
    one = work()
    done = one.create("Fix the PARSER")
    one.do("bob", "task claim", task=done)
    one.do("bob", "task finish", task=done, result="see the lexer")
    labelled = one.create("other")
    one.do("alice", "task label", task=labelled, add=["parser"])
    one.create("nothing of it")
    assert [row["id"] for row in one.ask("bob", "task search", words=["parser"])] == [labelled, done]
    assert [row["id"] for row in one.ask("bob", "task search", words=["parser", "lexer"])] == [done]
    assert [row["id"] for row in one.ask("bob", "task search", words=["parser"], status="open")] == [labelled]
    assert one.ask("bob", "task search", words=["compiler"]) == []


def test_a_fold_of_all_these_events_is_the_same_from_a_checkpoint() -> None:
    one = work()
    uid = one.create(body="x")
    one.do("alice", "task edit", task=uid, body="y", branch="b", pull_request=1)
    one.do("alice", "task label", task=uid, add=["l"])
    one.do("bob", "task comment", task=uid, text="hello")
    dumped = one.story.fleet.dump()
    assert FleetState.load(json.loads(json.dumps(dumped)), FEATURES).dump() == dumped
