"""Subjects: a ledger commit says what happened, in a bounded length, and nothing on which a forge acts."""

from __future__ import annotations

import pytest

from gitcoord.core.format.event import Event
from gitcoord.core.round.subjects import SUBJECT_CHARS, subject
from tests.core.lines import Story

TITLE = "ada claims 'Fix the parser'"


def event(type_: str, content: str, actor: str = "ada") -> Event:
    return Story().founded("ada").joined("bob").say(actor, type_, content).event


@pytest.mark.parametrize(
    ("told", "others", "shown"),
    [
        (TITLE, [], TITLE),
        (TITLE, ["note", "note", "question"], f"{TITLE} and 3 more"),
        ("bob approves it", [], "ada: bob approves it"),  # nobody speaks for another
        ("ada ends it\n\nCo-authored-by: e <e@x>\nfixes #12", [], "ada ends it␤␤Co-authored-by : e <e@x>␤fixes # 12"),
        ("ada takes ghp_" + "aB3dE5gH7jK9" * 3, [], "ada takes [hidden]"),
        ("", [], "ada: task_claimed"),
        ("ada " + "x" * 5000, ["note"], "ada " + "x" * (SUBJECT_CHARS - 4 - 11 - 1) + "… and 1 more"),
    ],
)
def test_it_says_what_happened_first_and_how_much_more(told: str, others: list[str], shown: str) -> None:
    assert subject([*(event(one, "words") for one in others), event("task_claimed", told)]) == shown


def test_of_messages_only_their_kind_is_told() -> None:
    assert subject([event("message", "the password is x")]) == "ada: message"
    assert subject([event("message", "a"), event("note", "b", "bob")]) == "2 events from ada, bob"
