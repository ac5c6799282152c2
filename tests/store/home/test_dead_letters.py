"""Dead letters: a durable list with a limit, which several processes share."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gitcoord.core.errors import Corrupt, Refused
from gitcoord.store.home import dead_letters
from gitcoord.store.home.dead_letters import LETTERS_MAX, TEXT_MAX, DeadLetters, Letter


def letter(event: str, **more: object) -> Letter:
    return Letter(
        **{
            "event": event,
            "position": 1,
            "author": "alice",
            "type": "question",
            "text": "x",
            "attempts": 5,
            "reason": "ended with 3",
            "at": "2026-11-21T03:04:05.678Z",
            **more,
        }
    )  # type: ignore[arg-type]


def test_the_oldest_goes_when_there_are_too_many_and_texts_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "LETTERS_MAX", 5)
    letters = DeadLetters(tmp_path, "Bob")
    for number in range(7):
        letters.set_aside(letter(f"{number:016}", text="é" * 10_000, reason="r" * 10_000))
    assert [one.event[-1] for one in letters.all()] == list("23456")
    assert all(len(one.text) == len(one.reason) == TEXT_MAX for one in letters.all())
    assert letters.path.name == "agent-bob.failed.json" and LETTERS_MAX == 1000


def test_each_event_is_there_once_the_newest_last(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "bob")
    for event in ("a", "b", "a"):
        letters.set_aside(letter(event))
    assert [one.event for one in letters.all()] == ["b", "a"]
    letters.remove("b")
    assert [one.event for one in DeadLetters(tmp_path, "bob").all()] == ["a"]


def test_what_is_replayed_has_to_be_named_without_doubt(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "bob")
    letters.set_aside(letter("aa1"))
    letters.set_aside(letter("aa2"))
    with pytest.raises(Refused, match="may be aa1, aa2"):
        letters.replay("aa")
    with pytest.raises(Refused, match="no failed event .* is known here"):
        letters.replay("b")
    assert letters.wanted() is None
    letters.replay("AA2")
    assert letters.wanted() == letter("aa2", replay=True)


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    def set_aside(part: int) -> None:
        letters = DeadLetters(tmp_path, "bob")
        for number in range(10):
            letters.set_aside(letter(f"{part}{number}"))

    threads = [threading.Thread(target=set_aside, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(DeadLetters(tmp_path, "bob").all()) == 40


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"letters": [1]}', b"\xff", b'{"letters": {}}'])
def test_a_damaged_file_is_told_and_never_overwritten(tmp_path: Path, data: bytes) -> None:
    letters = DeadLetters(tmp_path, "bob")
    letters.path.write_bytes(data)
    for act in (letters.all, letters.wanted, lambda: letters.set_aside(letter("a"))):
        with pytest.raises(Corrupt, match="move it away"):
            act()
    assert letters.path.read_bytes() == data and list(dead_letters.of_all_agents(tmp_path)) == []
