"""Creation of tasks: a retry makes no second one, and a file makes all of its tasks or none."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from gitcoord.core.commands import Command, NewEvent
from gitcoord.core.errors import Refused
from gitcoord.features import tasks
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks import task_file
from tests.features.work import COMMANDS, Work

YAML = """\
tasks:
  - title: Write the lexer
    key: lexer
    needs: python
  - Read the manual
  - title: Write the parser
    key: parser
    after: lexer
    priority: high
    body: |
      All of it
"""
TOML = """\
[[tasks]]
title = "Write the lexer"
key = "lexer"
needs = ["python"]

[[tasks]]
title = "Read the manual"

[[tasks]]
title = "Write the parser"
key = "parser"
after = ["lexer"]
priority = "high"
body = "All of it\\n"
"""


def work() -> Work:
    return Work(bob=["python"], carol=["python"])


def proposed(one: Work, actor: str = "alice", pending: list[Any] | None = None, **given: Any) -> list[NewEvent]:
    what = COMMANDS["task create"]
    assert isinstance(what, Command)
    ctx = dataclasses.replace(one.ctx(actor), pending=lambda: pending or [])
    return list(what.decide(ctx, what.arguments.model_validate(given)))


# Retries


def test_a_second_task_with_the_same_key_is_not_made_and_the_first_one_is_shown() -> None:
    one = work()
    uid = one.create("Fix", key="fix-1")
    assert proposed(one, title="Fix", key="fix-1") == []
    what = COMMANDS["task create"]
    assert isinstance(what, Command) and what.shows is not None
    args = what.arguments.model_validate({"title": "Fix", "key": "fix-1"})
    assert what.shows(one.ctx("alice"), args)["task"]["id"] == uid
    assert proposed(one, "bob", title="Fix", key="fix-1")  # another author's keys are its own


def test_the_fold_gives_a_second_task_with_the_same_key_no_effect() -> None:
    one = work()
    uid = one.create("Fix", key="fix-1")
    assert one.say("alice", "task_created", title="Fix", key="fix-1") == (
        f"alice created {uid[:8]} with the key 'fix-1' before"
    )
    assert one.say("bob", "task_created", title="Fix", key="fix-1") is None


def test_keys_are_bounded_and_come_back_from_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_state, "KEYS_MAX", 3)
    monkeypatch.setattr(task_state, "KEY_AUTHORS_MAX", 2)
    one = work()
    for number in range(5):
        one.create(f"task {number}", key=f"key {number}")
    assert list(one.state.keys["alice"]) == ["key 2", "key 3", "key 4"]
    for agent in ("bob", "carol"):
        one.do(agent, "task create", title="x", key="x")
    assert list(one.state.keys) == ["bob", "carol"]
    assert tasks.load(json.loads(json.dumps(tasks.dump(one.state)))).keys == one.state.keys


def test_the_same_title_by_the_same_author_within_a_minute_is_asked_about() -> None:
    one = work()
    uid = one.create("Fix")
    with pytest.raises(Refused, match=f"created {uid[:8]} 'Fix' less than a minute ago.*--again.*--key"):
        proposed(one, title="Fix")
    assert proposed(one, title="Fix", again=True) and proposed(one, "bob", title="Fix")
    assert proposed(one, title="Fix", key="other")
    one.wait(61)
    assert proposed(one, title="Fix")


@pytest.mark.parametrize("given", [{"title": "Fix"}, {"title": "Fix", "key": "k"}])
def test_a_task_that_is_queued_here_counts_too(given: dict[str, str]) -> None:
    """The first command was killed in an outage: its task is on this disk, and in no ledger."""
    one, other = work(), work()
    sequenced = other.story.say("alice", "task_created", "Fix", data={"title": "Fix", "key": "k"}, timestamp=one.now)
    with pytest.raises(Refused, match="--again|is queued already"):
        proposed(one, pending=[sequenced.event], **given)
    assert proposed(one, "bob", pending=[sequenced.event], **given)


# Files


@pytest.mark.parametrize("text", [YAML, TOML], ids=["yaml", "toml"])
def test_all_tasks_of_a_file_are_created_with_what_they_wait_for(text: str) -> None:
    one = work()
    one.do("alice", "task create", **{"from": text})
    lexer, manual, parser = one.state.tasks.values()
    assert (lexer.title, lexer.needs, manual.title) == ("Write the lexer", ["python"], "Read the manual")
    assert (parser.priority, parser.body, parser.after, parser.status) == ("HIGH", "All of it\n", [lexer.id], "created")
    one.wait(61)
    again = proposed(one, **{"from": text})
    assert [event.content for event in again] == ["Read the manual"]  # what has a key is there already


def test_a_check_list_in_markdown_is_a_file_of_tasks() -> None:
    text = "# Plan\n\n- [ ] Fix the lexer\n  in src/lexer.py\n\n  - [ ] and its test\n- [x] done\n  old\n* [ ] Next\n"
    found = task_file.read(text)
    assert [(line, one.title, one.body) for line, one in found] == [
        (3, "Fix the lexer", "in src/lexer.py\n\n- [ ] and its test"),
        (9, "Next", ""),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (YAML.replace("priority: high", "priority: urgent"), "line 6: priority:"),
        (YAML.replace("    needs: python", "    need: python"), "line 2: need: there is no such field"),
        (YAML.replace("after: lexer", "after: nothing"), "line 6: no task"),
        (YAML.replace("key: parser", "key: lexer"), "line 6: the key 'lexer' appears twice"),
        (YAML.replace("  - Read the manual", "  - 5"), "line 5: a task is a title"),
        (TOML.replace('"high"', '"urgent"'), "line 9: priority:"),
        (TOML.replace('after = ["lexer"]', "after = 1"), "line 9: after:"),
        ("tasks: [", "line 1: this is not YAML"),
        ("tasks: {}\n", "no list of tasks"),
        ("title: x\n", "line 1: 'title': the file has one list"),
        ("", "the file has no open task"),
        ("- [ ] " + "x" * 300, "line 1: title:"),
        ("- a\n" * (task_file.TASKS_MAX + 1), "at most 200"),
        ("- &a x\n- *a\n", "cannot use aliases"),
    ],
)
def test_a_mistake_in_a_file_creates_nothing_and_names_its_line(text: str, words: str) -> None:
    one = work()
    with pytest.raises(Refused, match=words):
        proposed(one, **{"from": text})


def test_a_file_and_a_title_together_are_refused_and_so_is_neither() -> None:
    one = work()
    with pytest.raises(Refused, match="leave out title"):
        proposed(one, title="x", **{"from": YAML})
    with pytest.raises(Refused, match="title: is missing, and so is --from FILE"):
        proposed(one)


def test_the_fold_knows_only_keys_of_the_same_author_before() -> None:
    one = work()
    one.create("first", key="k")
    assert one.say("alice", "task_created", title="x", after_keys=["k"]) is None
    assert "created none before it" in str(one.say("bob", "task_created", title="x", after_keys=["k"]))
