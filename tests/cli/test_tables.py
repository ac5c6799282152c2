"""Tables and single things as people see them."""

from __future__ import annotations

import pytest

from gitcoord.cli import shown as words
from gitcoord.cli.tables import detail, print_table

COLUMNS = ("id", "status", "priority", "agent", "title")
ROWS = [
    {
        "id": "erpasff1k2m3n4p5",
        "status": "ready",
        "priority": "HIGH",
        "agent": None,
        "title": "Mend 漢字 🎉 " + "parser " * 40,
    },
    {"id": "mzc660pdk2m3n4p5", "status": "input-required", "priority": "LOW", "agent": "bob", "title": "x"},
]


def shown(capsys: pytest.CaptureFixture[str], columns: tuple[str, ...] = COLUMNS, *, wrapped: str = "") -> list[str]:
    print_table(columns, ROWS, wrapped=wrapped)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_long_texts_are_cut_and_what_is_typed_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    header, first, second = shown(capsys)
    assert header.split() == list(COLUMNS)
    assert first.startswith("erpasff1  ready           HIGH      -      Mend 漢字 🎉 parser") and first.endswith("…")
    assert second.split() == ["mzc660pd", "input-required", "LOW", "bob", "x"]
    assert max(map(len, (header, first, second))) <= 80


@pytest.mark.usefixtures("terminal")
def test_a_column_may_go_on_in_the_next_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, wrapped="title")
    assert "".join(lines).count("parser") == 40 and "…" not in "".join(lines)


def test_elsewhere_nothing_is_cut_and_no_line_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = shown(capsys)
    assert first.count("parser") == 40 and second == "mzc660pd  input-required  LOW   bob  x"
    assert first == first.rstrip()


def test_one_thing_shows_what_there_is_to_say_in_the_units_of_people() -> None:
    assert list(
        detail(
            {
                "id": "erpasff1k2m3n4p5",
                "status": "running",
                "body": "",
                "artifacts": [],
                "overdue": False,
                "timeout_s": 90,
                "created_by": "alice",
                "deadline": "2026-11-21T13:46:28.971Z",
                "share": 0.5,
                "attempts": [{"agent": "bob", "took_s": 1.25, "late": None}, {"agent": "carol", "text": "too late"}],
            }
        )
    ) == [
        "id          erpasff1k2m3n4p5",
        "status      running",
        "overdue     no",
        "timeout     90 s",
        "created by  alice",
        "deadline    2026-11-21T13:46:28Z",
        "share       0.5",
        "attempts    agent: bob, took: 1.25 s",
        "            agent: carol, text: too late",
    ]


def test_a_line_is_cut_by_the_columns_that_a_terminal_needs_for_it() -> None:
    assert words.cut("漢字漢字 and more", 9) == "漢字漢字…"
    assert words.cut("short", 9) == "short"


def test_lines_stay_lines_in_one_thing_and_are_parted_by_strokes_in_a_row() -> None:
    shown = list(detail({"result": "one\ntwo\n", "steps": [{"step": "a", "result": "yes\nno"}]}))
    assert shown == ["result  one", "        two", "steps   step: a, result: yes / no"]
