"""Headings say who speaks to whom, and no configuration can make them say it in Markdown."""

from __future__ import annotations

import re

import pytest

from gitcoord.core.errors import Refused
from gitcoord.features.pages.headings import HEADINGS, Entry, Interaction, check_headings, heading
from gitcoord.features.pages.snapshot import Layout

PLAIN = Layout()


def said(actor: str, kind: str, content: str, *to: str, uid: str = "", re: str = "") -> Entry:
    return Entry(None, actor, kind, content, "2026-11-21T03:00:05.678Z", to, uid=uid, re=re)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (said("alice", "question", "x"), "alice → all"),
        (said("alice", "question", "x", "bob", "carol"), "alice → bob, carol"),
        (said("alice", "question", "x", *"bcdefgh"), "alice → b, c, d, e, f and 2 more"),
        (said("bob", "answer", "x"), "bob → alice"),
        (said("bob", "answer", "x", re="u2"), "bob → carol"),
        (said("bob", "answer", "x", "dave", re="u2"), "bob → dave"),
        (said("alice", "answer", "x"), "alice → carol"),
        (said("bob", "followup", "x"), "bob Follow-Up"),
        (said("bob", "leader_election", "x"), "bob leader_election"),
        (said("n" * 63, "heartbeat", "x"), f"heartbeat ({'n' * 63})"),
    ],
)
def test_headings_say_who_speaks_to_whom(entry: Entry, words: str) -> None:
    log = [said("alice", "question", "?", uid="u1"), said("carol", "question", "?", uid="u2"), entry]
    assert heading(entry, Interaction(1, log), PLAIN.template(entry.type)) == words


def test_an_answer_to_nobody_is_for_all() -> None:
    alone = said("bob", "answer", "x")
    assert heading(alone, Interaction(1, [alone]), PLAIN.template("answer")) == "bob → all"


@pytest.mark.parametrize(
    ("kind", "template", "problem"),
    [
        ("question", "{author}", "{author} is not a field: use {actor}, {to}, {type}, {time}"),
        ("question", "{actor!r}", "is not a field"),
        ("question", "{actor:>9}", "is not a field"),
        ("question", "{actor.__class__}", "is not a field"),
        ("question", "{}", "is not a field"),
        ("question", "{actor", "an unmatched brace"),
        ("question", "{{actor}}", "'{' may change the page"),
        ("question", "{actor}{to}", "follows another field at once"),
        ("question", "a\n# b", "may change the page"),
        ("question", "<b>", "may change the page"),
        ("question", "@{actor}", "may change the page"),
        ("question", "\u202e{actor}", "may change the page"),
        ("question", " ", "use 1 to 200 characters"),
        ("question", "x" * 201, "use 1 to 200 characters"),
        ("Question!", "{actor}", "'Question!' is not an event type"),
    ],
)
def test_a_heading_that_cannot_be_shown_is_refused_when_configured(kind: str, template: str, problem: str) -> None:
    assert any(problem in one for one in check_headings({kind: template}))
    with pytest.raises(Refused, match=re.escape(problem)):
        Layout(headings={kind: template})


def test_our_own_headings_are_fine() -> None:
    assert check_headings(HEADINGS) == []
