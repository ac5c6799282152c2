"""`gitcoord next` on the command line: two clones that claim at once get two tasks, and a retry gets the same one."""

from __future__ import annotations

from tests.cli.clones import Clone
from tests.waiting import WAIT_S


def test_of_two_that_claim_the_best_task_at_once_each_gets_one(alice: Clone, bob: Clone) -> None:
    for title in ("first", "second"):
        alice("task", "create", title)
    bob("sync")
    claims = [clone.start("next", "--claim") for clone in (alice, bob)]
    outcomes = [(claim.communicate(timeout=WAIT_S), claim.returncode) for claim in claims]
    assert [code for _, code in outcomes] == [0, 0], outcomes
    again = [clone("next", "--claim", "--json").json() for clone in (alice, bob)]
    assert sorted(one["begin"]["title"] for one in again) == ["first", "second"]
    assert [one["ids"] for one in again] == [[], []]  # a retry claims nothing more


def test_it_shows_what_was_said_what_is_held_and_what_is_best(alice: Clone, bob: Clone) -> None:
    bob("message", "send", "Mind the lexer", "--to", "alice")
    bob("reserve", "src/lexer/**", "--why", "a rewrite")
    bob("task", "create", "Fix src/lexer/a.py", "--body", "All of it\nin two lines", "--priority", "high")
    shown = alice("next").out
    assert "unread     1 message" in shown and "Mind the lexer" in shown
    assert "Fix src/lexer/a.py (HIGH, ready for" in shown and "bob has src/lexer/** until" in shown
    assert shown.startswith("alice: run `gitcoord next --claim`")
    begun = alice("next", "--claim").out
    assert "in two lines" in begun and "gitcoord task finish" in begun
    assert "Fix src/lexer/a.py (accepted, since" in alice("next").out


def test_a_dry_run_claims_nothing(alice: Clone) -> None:
    alice("task", "create", "first")
    assert "task_claimed" in alice("next", "--claim", "--dry-run").out
    assert alice("next", "--json").json()["tasks"][0]["title"] == "first"
