"""`gitcoord sync` and `gitcoord queue`: what a round achieves, and what waits on this disk."""

from __future__ import annotations

import signal

import pytest

from gitcoord.core.format.event import Draft
from tests.cli.clones import Clone
from tests.waiting import WAIT_S, wait_until

NO_POISON = (
    "while read old new ref; do"
    " if git archive $new | tr -d '\\0' | grep -q POISON; then echo no POISON here; exit 1; fi; done"
)


def contents(clone: Clone) -> list[str]:
    return [row["event"]["content"] for row in clone("queue", "list", "--json").json()["events"]]


def test_a_round_tells_what_it_achieved(alice: Clone, bob: Clone) -> None:
    for text in ("one", "two"):
        alice("append", "note", text, "--no-sync")
    assert alice("sync", "--json").json() == {
        "schema": "gitcoord.sync/1",
        "position": 4,
        "sequenced": 2,
        "durable": 0,
        "queued": 0,
        "races_lost": 0,
    }
    assert bob("sync").out == "position 4, 0 sequenced\n"


def test_what_a_round_brought_to_its_place_without_effect_is_told_with_the_reason(alice: Clone) -> None:
    alice.write("config_changed", "x", nonsense=1)
    alice("append", "note", "fine", "--no-sync")
    told = alice("sync", "--json").json()
    assert (told["sequenced"], told["queued"]) == (2, 0)
    [void] = told["void"]
    assert void["position"] == 2 and void["reason"].startswith("its data is wrong: set")
    assert contents(alice) == []
    alice.write("config_changed", "x", nonsense=1)
    told = alice("sync")
    assert "1 sequenced, 1 without effect" in told.out and "has no effect: its data is wrong: set" in told.err


def test_an_unreachable_remote_is_4(alice: Clone) -> None:
    with alice.outage():
        result = alice("sync", code=4)
    assert (
        "cannot be reached" in result.err and "the next sync sends them" in result.err and result.err.count("\n") == 1
    )


def test_beside_a_running_agent_it_waits_for_that_ones_round(alice: Clone) -> None:
    runner = alice.start("agent", "run", "--quiet")
    try:
        wait_until(lambda: alice("status", "--json").json()["running"], what="the agent")
        assert alice("sync", "--json").json()["races_lost"] == 0
        with alice.outage():
            # A round that began before the outage may still end well.
            wait_until(lambda: "reported by the agent" in alice("sync", code=None).err, what="the agent to meet it")
            alice("sync", code=4)
            assert "showing the local state" in alice("task", "list").err
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.communicate(timeout=WAIT_S)


def test_the_queue_is_listed_in_its_order_with_levels(alice: Clone) -> None:
    assert alice("queue", "list").out == "nothing is queued\n"
    for text in ("one", "two"):
        alice("append", "note", text, "--no-sync")
    assert contents(alice) == ["one", "two"]
    assert [line.split()[-2:] for line in alice("queue", "list").out.splitlines()] == [
        ["[QUEUED]", "one"],
        ["[QUEUED]", "two"],
    ]
    alice("sync")
    assert contents(alice) == []


def test_dropping_what_a_hook_denies_lets_the_rest_go_out(alice: Clone, bob: Clone) -> None:
    alice.hook(NO_POISON)
    alice("append", "note", "before", "--no-sync")
    alice("append", "note", "POISON", "--no-sync")
    alice("append", "note", "after", "--no-sync")
    refused = alice("sync", code=None)
    assert refused.code == 4 and "gitcoord queue drop" in refused.err
    poison = next(
        row["event"]["uid"]
        for row in alice("queue", "list", "--json").json()["events"]
        if row["event"]["content"] == "POISON"
    )
    assert poison[:8] in refused.err
    dropped = alice("queue", "drop", poison[:8], "--json").json()
    assert dropped["id"] == poison and dropped["event"]["content"] == "POISON"
    wait_until(lambda: alice("sync", code=None).code == 0 and not contents(alice), what="the rest to go out")
    shown = [row["event"]["content"] for row in bob("events", "--type", "note", "--json").rows()]
    assert shown == ["before", "after"]


def test_what_is_on_the_remote_is_not_dropped_unless_forced(alice: Clone) -> None:
    alice.hook("grep -q refs/heads/ && { echo no ledger; exit 1; }; exit 0")
    alice("append", "note", "seen", "--no-sync")
    alice("append", "note", "behind", "--no-sync")
    alice("sync", code=None)
    waiting = alice("queue", "list", "--json").json()["events"]
    assert [row["level"] for row in waiting] == ["durable", "durable"]
    uid = waiting[0]["event"]["uid"]
    assert "--force" in alice("queue", "drop", uid, code=2).err
    alice("queue", "drop", uid, "--force")
    waiting = alice("queue", "list", "--json").json()["events"]
    assert [(row["level"], row["event"]["content"]) for row in waiting] == [("queued", "behind")]


def test_dropping_needs_one_event_that_is_queued(alice: Clone) -> None:
    assert "no queued event" in alice("queue", "drop", "zzz", code=2).err
    drafts: dict[str, Draft] = {}
    with alice.node() as node:
        while True:
            draft = node.draft("note", "x", actor="alice")
            other = drafts.setdefault(draft.event_uid[:2], draft)
            if other is not draft and not draft.event_uid[:2].isdigit():  # digits alone are a position
                break
        node.append(draft, other)
    assert "give more of it" in alice("queue", "drop", draft.event_uid[:2], code=2).err
    alice("queue", "drop", draft.event_uid.upper()[:12])
    assert [row["event"]["uid"] for row in alice("queue", "list", "--json").json()["events"]] == [other.event_uid]


def test_what_does_not_come_into_the_ledger_today_is_told_with_the_reason(
    alice: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitcoord.core.fold.places.VOID_LINES_OF_MEMBER_MAX", 2)
    for _ in range(3):
        alice.write("config_changed", "x", nonsense=1)
        alice("sync")
    assert contents(alice) == ["x", "x"], "one place is spare, for a control line"
    reason = alice("queue", "list", "--json").json()["waiting"]
    assert reason.startswith("alice has put 1 lines without effect into the ledger on ")
    assert f"none of these events can be sequenced today: {reason}" in alice("queue", "list").out
    assert "it waits until the ledger's next day" in alice("status", "--json").json()["waiting"]
    assert any(line.startswith("! ") and "into the ledger today" in line for line in alice("status").out.splitlines())
    for _ in range(2):
        first = alice("queue", "list", "--json").json()["events"][0]["event"]
        alice("queue", "drop", first["uid"], "--force")
    monkeypatch.undo()
    alice("sync")
    assert alice("queue", "list", "--json").json()["waiting"] is None
