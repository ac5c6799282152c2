"""Annotations: no text of anybody's ends a command or begins another, and the worst are shown."""

from __future__ import annotations

from typing import Any

from gitcoord.github.annotations import SHOWN_MAX, WorkflowAnnotation, commands, of


def test_a_line_of_code_is_named() -> None:
    one = WorkflowAnnotation("error", "both changed it", "high conflict", "src/a.py", 12)
    assert one.command() == "::error title=high conflict,file=src/a.py,line=12::both changed it"
    assert WorkflowAnnotation("notice", "hello").command() == "::notice title=gitcoord::hello"


def test_nothing_in_it_begins_another_command() -> None:
    one = WorkflowAnnotation("warning", "a\n::error::b\r100%", "x::y", "odd,line=1:\n::error::.py", 3)
    assert one.command() == (
        "::warning title=x%3A%3Ay,file=odd%2Cline=1%3A%0A%3A%3Aerror%3A%3A.py,line=3::a%0A::error::b␍100%25"
    )


def test_as_many_as_github_shows_of_each_level_and_how_many_more() -> None:
    found = [WorkflowAnnotation("warning", f"w{number}") for number in range(15)] + [WorkflowAnnotation("error", "e")]
    lines = list(commands(found))
    assert len([line for line in lines if line.startswith("::warning ")]) == SHOWN_MAX
    assert "::error title=gitcoord::e" in lines
    assert lines[-1].endswith("::6 more are only in the log of the step that found them")


def test_conflicts_stand_at_their_hunks_and_those_without_at_their_path() -> None:
    hunk = {"function": "def parse():", "a_at": 7, "a": ["x"], "b_at": 9, "b": ["y"]}
    paths: list[dict[str, Any]] = [
        {"path": "a.py", "kind": "content", "hunks": [hunk, {**hunk, "function": ""}]},
        {"path": "logo.png", "kind": "binary", "hunks": []},
    ]
    value = {
        "schema": "gitcoord.conflict.check/1",
        "conflicts": [
            {"severity": "high", "a": {"name": "one"}, "b": {"name": "two"}, "paths": paths},
            {"severity": "low", "a": {"name": "one"}, "b": {"name": "three"}, "paths": paths[1:]},
        ],
    }
    assert [(one.level, one.file, one.line, one.text) for one in of(value)] == [
        ("error", "a.py", 7, "one and two conflict here, in def parse(): (content)"),
        ("error", "a.py", 7, "one and two conflict here (content)"),
        ("error", "logo.png", None, "one and two conflict here (binary)"),
        ("warning", "logo.png", None, "one and three conflict here (binary)"),
    ]


def test_findings_of_a_review_stand_at_their_lines() -> None:
    value = {
        "schema": "gitcoord.review.post/1",
        "verdict": "comment",
        "findings": [
            {"severity": "error", "text": "conflicts with main", "path": "a.py", "first": 3, "last": 5},
            {"severity": "note", "text": "large", "path": None, "first": None, "last": None},
        ],
    }
    assert [one.command() for one in of(value)] == [
        "::error title=gitcoord review,file=a.py,line=3::conflicts with main",
        "::notice title=gitcoord review::large",
    ]


def test_what_is_about_no_lines_gives_none() -> None:
    assert list(of({"schema": "gitcoord.status/1", "attention": ["x"]})) == []
