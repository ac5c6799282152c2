"""Next: one answer tells an agent what it holds, what waits for it, and which task is the best, and why."""

from __future__ import annotations

from typing import Any

import pytest

from gitcoord.core.commands import Command, Context
from gitcoord.core.errors import Refused
from gitcoord.features import next as feature
from gitcoord.features.next import choice
from tests.features.work import COMMANDS, Work


def work() -> Work:
    return Work(bob=["python"], carol=[])


def shown(one: Work, actor: str, *, claim: bool = False) -> dict[str, Any]:
    what = COMMANDS["next"]
    assert isinstance(what, Command) and what.shows is not None and what.lines is not None
    ctx = one.ctx(actor)
    seen = Context(ctx.fleet, ctx.now, actor, ctx.node, liveness=ctx.liveness, read=one.story.read)
    answer = dict(what.shows(seen, feature.ShowNext(claim=claim)))
    assert list(what.lines(answer))  # whatever is in it can be shown
    return answer


def test_the_most_urgent_task_that_suits_comes_first_with_the_reason() -> None:
    one = work()
    low = one.create("later", priority="low")
    urgent = one.create("now", priority="critical")
    one.create("not for carol", priority="critical", needs=["python"])
    answer = shown(one, "carol")
    assert [task["id"] for task in answer["tasks"]] == [urgent, low]
    assert answer["tasks"][0]["why"].startswith("CRITICAL, ready for")
    assert answer["not_for_me"] == ["1: it lacks python"]
    assert urgent[:8] in answer["do"] and "gitcoord next --claim" in answer["do"]
    assert [task["title"] for task in shown(one, "bob")["tasks"]] == ["now", "not for carol", "later"]


def test_a_task_that_is_meant_for_the_agent_and_one_that_others_wait_for_say_so() -> None:
    one = work()
    first = one.create("first")
    mine = one.create("mine", agent="carol")
    one.create("second", after=[first])
    answer = shown(one, "carol")
    assert [task["id"] for task in answer["tasks"]] == [mine, first]
    assert "meant for carol" in answer["tasks"][0]["why"] and "1 task waits for it" in answer["tasks"][1]["why"]
    assert shown(one, "bob")["not_for_me"] == ["1: it is meant for carol"]


def test_a_task_whose_paths_another_agent_holds_comes_last_and_names_the_holder() -> None:
    one = work()
    one.do("bob", "reserve", paths=["src/parser/**"], why="a rewrite")
    taken = one.create("Fix src/parser/lexer.py", priority="critical")
    free = one.create("Fix docs/index.md", priority="low")
    answer = shown(one, "carol")
    assert [task["id"] for task in answer["tasks"]] == [free, taken]
    assert answer["tasks"][1]["held"][0]["agent"] == "bob" and "held" not in answer["tasks"][0]
    assert [task["id"] for task in shown(one, "bob")["tasks"]] == [taken, free]  # they are bob's own


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Fix src/a.py, and setup.cfg.", ["src/a.py", "setup.cfg"]),
        ("see https://example.org/a/b for e.g. more", ["e.g"]),  # a look-alike holds nothing
        ("../outside /etc/passwd and/or", ["and/or"]),
        ("nothing here", []),
    ],
)
def test_paths_are_found_in_a_tasks_text(text: str, found: list[str]) -> None:
    one = work()
    assert choice.named_paths(one.task(one.create(text))) == found


def test_claim_takes_the_best_task_and_gives_all_that_is_needed_to_begin() -> None:
    one = work()
    first = one.create("first")
    one.do("bob", "task claim", task=first)
    one.do("bob", "task finish", task=first, result="on branch lexer", artifact=["lexer"])
    uid = one.create("Fix src/a.py", body="The whole story", after=[first], priority="high")
    one.create("another")
    assert one.do("carol", "next", claim=True)
    assert one.task(uid).agent == "carol"
    begin = shown(one, "carol", claim=True)["begin"]
    assert (begin["id"], begin["body"], begin["paths"]) == (uid, "The whole story", ["src/a.py"])
    assert begin["before"] == [{"id": first, "title": "first", "result": "on branch lexer", "artifacts": ["lexer"]}]


def test_a_second_claim_takes_nothing_more_and_shows_the_task_that_the_agent_has() -> None:
    one = work()
    uid = one.create("one")
    one.create("two")
    one.do("carol", "next", claim=True)
    assert one.do("carol", "next", claim=True) == ""  # a retry of a killed command
    assert shown(one, "carol", claim=True)["begin"]["id"] == uid and len(one.state.held["carol"]) == 1


def test_an_assigned_task_is_accepted_before_another_one_is_claimed() -> None:
    one = work()
    uid = one.create("bob's", needs=["python"])
    one.lead()
    one.create("urgent", priority="critical")
    assert [task["id"] for task in shown(one, "bob")["assigned"]] == [uid]
    one.do("bob", "next", claim=True)
    assert one.task(uid).status == "accepted"


def test_without_claim_nothing_is_written_and_without_a_task_claim_says_so() -> None:
    one = work()
    one.create("for others", needs=["rust"])
    assert one.do("carol", "next") == one.do("carol", "next", claim=True) == ""
    assert shown(one, "carol", claim=True)["do"].startswith("nothing to claim: no ready task suits this agent")


def test_unread_messages_reservations_and_conflicts_are_the_agents_own() -> None:
    one = work()
    one.do("bob", "message send", text="Please look", to=["carol"], priority="high")
    one.do("carol", "reserve", paths=["src/**"])
    tip = {"commit": "a" * 40, "agent": "carol"}
    found = {
        "a": {"name": "carol/x", **tip},
        "b": {"name": "main", "commit": "b" * 40},
        "paths": [{"path": "src/a.py", "kind": "content"}],
        "severity": "high",
    }
    assert one.say("bob", "conflict_found", **found) is None
    answer = shown(one, "carol")
    assert (answer["unread"], answer["messages"][0]["text"]) == (1, "Please look")
    assert answer["reservations"][0]["paths"] == ["src/**"]
    conflict = answer["conflicts"][0]
    assert (conflict["branch"], conflict["with"], conflict["files"]) == ("carol/x", "main", ["src/a.py"])
    assert not {"unread", "reservations", "conflicts"} & set(shown(one, "bob"))


def test_an_answer_with_nothing_to_say_is_short_and_a_stranger_is_told_what_to_do() -> None:
    one = work()
    assert set(shown(one, "carol")) == {"agent", "do"}
    with pytest.raises(Refused, match="gitcoord init"):
        shown(one, "mallory")
