"""The board: everybody sees the same, the text of others acts on no page, and its size has bounds."""

from __future__ import annotations

import json

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import parse
from gitcoord.features import FEATURES
from gitcoord.features import board as feature
from gitcoord.features.pages import board
from tests.features.work import Work


def work() -> Work:
    return Work(bob=["python"], carol=[])


def page(one: Work) -> str:
    return board.markdown(one.story.fleet, lambda at: parse(one.story.read(at)).content)


def screen(one: Work) -> str:
    return "\n".join(feature.lines(board.compose(one.story.fleet, lambda at: parse(one.story.read(at)).content)))


def busy() -> Work:
    one = work()
    uid = one.create("Fix the parser", priority="high")
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task progress", task=uid, share=0.5, branch="bob/parser", pull_request=7)
    first = one.create("Write the lexer")
    one.create("Use the lexer", after=[first])
    done = one.create("Read the manual")
    one.do("carol", "task claim", task=done)
    one.do("carol", "task finish", task=done)
    one.do("bob", "reserve", paths=["src/**"], why="a rewrite")
    one.do("carol", "message send", text="Mind the lexer", to=["bob"])
    found = {
        "a": {"name": "bob/parser", "commit": "a" * 40, "agent": "bob"},
        "b": {"name": "main", "commit": "b" * 40},
        "paths": [{"path": "src/a.py", "kind": "content"}],
        "severity": "high",
    }
    assert one.say("carol", "conflict_found", **found) is None
    return one


def test_it_says_who_does_what_on_which_branch_since_when_and_what_is_left() -> None:
    shown = screen(busy())
    for words in (
        "bob: Fix the parser (",
        "running since",
        ", 50%, on bob/parser, pull request 7",
        "Write the lexer (",
        "): waits for ",
        "Read the manual (",
        ", by carol, ",
        "bob: src/** until ",
        "bob/parser and main of bob in src/a.py (high, since ",
        "carol to bob, message, ",
        ": Mind the lexer",
        "1 created, 1 ready, 1 running, 1 done",
    ):
        assert words in shown, words
    assert "  carol: idle" in shown or "  carol: active" in shown  # she has no task


def test_the_page_is_a_function_of_the_ledger_also_from_a_checkpoint() -> None:
    one = busy()
    again = FleetState.load(json.loads(json.dumps(one.story.fleet.dump())), FEATURES)
    assert board.markdown(again, lambda at: parse(one.story.read(at)).content) == page(one)


def test_what_others_wrote_is_code_on_the_page_and_one_line_on_a_screen() -> None:
    one = work()
    one.create("[x](http://evil) @all fixes #1 <b>|`")
    one.do("carol", "message send", text="hello\n## Done\n- nothing\n<!-- x -->", to=["bob"])
    text = page(one)
    assert "\n## Done" not in text and "`` [x](http://evil) @all fixes #1 <b>|` ``" in text
    assert not [line for line in text.splitlines() if line.startswith(("<", "- nothing"))]
    assert "\n- nothing" not in screen(one)


def test_each_part_has_a_most_and_tells_how_many_are_left_out() -> None:
    one = work()
    for number in range(board.ROWS_MAX + 5):
        one.create(f"task {number} " + "x" * 150)
    text = page(one)
    assert text.count("\n- ") <= board.ROWS_MAX + 10 and "… and 5 more" in text
    assert len(text) < 10_000


def test_an_empty_fleet_has_a_board() -> None:
    assert "no tasks yet" in page(work()) and "nobody has a task" in screen(work())
