"""`gitcoord events`: what has its place, what waits for it, and following."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from tests.cli.clones import Clone, Result
from tests.waiting import WAIT_S, wait_until


def contents(result: Result) -> list[str]:
    return [row["event"]["content"] for row in result.rows()]


def test_events_of_all_clones_are_shown_in_the_order_of_the_log(alice: Clone, bob: Clone) -> None:
    alice("append", "question", "one")
    bob("sync")
    bob("append", "answer", "two", "--re", "3")
    rows = alice("events", "--json").rows()
    assert [row["position"] for row in rows] == [1, 2, 3, 4]
    assert [row["event"]["content"] for row in rows][2:] == ["one", "two"]
    assert {row["level"] for row in rows} == {"sequenced"}
    assert [row["interaction"] for row in rows] == [None, None, 1, 1]
    assert {row["schema"] for row in rows} == {"gitcoord.event/1"}


def test_a_line_of_text_for_each_event(alice: Clone, bob: Clone) -> None:
    alice("append", "question", "who takes it?", "--to", "bob")
    last = alice("events").out.splitlines()[-1]
    assert last.split()[:6] == ["3", "alice", "→", "bob", "question", "#1"]
    assert last.endswith("Z  who takes it?")


def test_what_waits_comes_last_and_is_marked(alice: Clone, bob: Clone) -> None:
    with alice.outage():
        alice("append", "note", "waits")
        shown = alice("events")
        rows = alice("events", "--json").rows()
    assert "[QUEUED]  waits" in shown.out.splitlines()[-1]
    assert "showing the local state" in shown.err and shown.err.count("\n") == 1
    assert (rows[-1]["position"], rows[-1]["level"]) == (None, "queued")


def test_what_waits_in_another_nodes_outbox_is_shown_too(alice: Clone, bob: Clone) -> None:
    alice.hook("grep -q refs/heads/ && { echo no ledger; exit 1; }; exit 0")
    bob("append", "note", "stuck")
    rows = [row for row in alice("events", "--json").rows() if row["position"] is None]
    assert [(row["level"], row["event"]["actor"]) for row in rows] == [("durable", "bob")]


@pytest.mark.parametrize(
    "options, expected",
    [
        (["--type", "question"], ["q1", "q2"]),
        (["--type", "question", "--type", "note"], ["q1", "n1", "q2"]),
        (["--actor", "ALICE", "--type", "note"], ["n1"]),
        (["--actor", "nobody"], []),
        (["--interaction", "7"], ["q2"]),
        (["--since", "3"], ["n1", "q2"]),
        (["--since", "2001-01-01", "--type", "note"], ["n1"]),
        (["--since", "2999-01-01T00:00:00Z"], []),
        (["--limit", "2"], ["n1", "q2"]),
        (["--limit", "1", "--type", "question"], ["q2"]),
        (["--limit", "9", "--since", "3"], ["n1", "q2"]),
    ],
)
def test_filters(alice: Clone, options: Sequence[str], expected: Sequence[str]) -> None:
    alice("append", "mark", "m0", "--no-sync")
    alice("append", "question", "q1", "--no-sync")
    alice("append", "note", "n1", "--interaction", "6", "--no-sync")
    alice("append", "question", "q2", "--interaction", "7")
    assert contents(alice("events", "--no-sync", "--json", *options)) == expected


def test_a_limit_counts_what_waits(alice: Clone) -> None:
    alice("append", "note", "one")
    for text in ("two", "three"):
        alice("append", "note", text, "--no-sync")
    assert contents(alice("events", "--no-sync", "--limit", "2", "--json")) == ["two", "three"]
    assert contents(alice("events", "--no-sync", "--limit", "3", "--json")) == ["one", "two", "three"]


def test_only_what_is_shown_is_parsed(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        alice("append", "note", f"{number}", "--no-sync")
    alice("sync")
    parsed = []
    from gitcoord.core.format import event

    original = event.parse
    monkeypatch.setattr(event, "parse", lambda line: parsed.append(line) or original(line))
    assert contents(alice("events", "--no-sync", "--limit", "2", "--json")) == ["28", "29"]
    assert len(parsed) == 2


def test_a_filter_is_not_fooled_by_escapes(alice: Clone) -> None:
    alice("append", "note", '\x01 and "type":"question"')
    assert contents(alice("events", "--type", "question", "--json")) == []
    assert len(contents(alice("events", "--type", "note", "--json"))) == 1


def test_content_cannot_reach_the_terminal(alice: Clone) -> None:
    alice("append", "note", "a\x1b[2Jb\r\nc\u202ed\te")
    out = alice("events").out
    assert "a␛[2Jb␍␤c⟨U+202E⟩d␉e" in out.splitlines()[-1]


def test_an_event_without_effect_says_why(alice: Clone, bob: Clone) -> None:
    bob.write("config_changed", "x", set=5)
    bob("sync")
    alice("sync")
    row = alice("events", "--json", "--type", "config_changed").rows()[0]
    assert row["void"].startswith("its data is wrong")
    assert "[no effect: its data is wrong" in alice("events", "--type", "config_changed").out


@pytest.mark.parametrize("since", ["yesterday", "-1", "", "2026-13-01"])
def test_a_wrong_since_is_refused(alice: Clone, since: str) -> None:
    assert "neither a position nor a time" in alice("events", "--no-sync", "--since", since, code=2).err


def test_live_beats_are_asked_for_by_type(alice: Clone, bob: Clone) -> None:
    runner = bob.start("agent", "run", "--quiet")
    try:
        rows = wait_until(lambda: alice("events", "--type", "heartbeat", "--json").rows(), what="a heartbeat")
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.communicate(timeout=WAIT_S)
    assert (rows[0]["level"], rows[0]["event"]["actor"], rows[0]["position"]) == ("live", "bob", None)
    assert alice("events", "--json").rows()[-1]["event"]["type"] != "heartbeat"
    assert "state goodbye" in alice("events", "--type", "heartbeat").out


def test_following_shows_each_event_once_and_ends_with_ctrl_c(alice: Clone, bob: Clone) -> None:
    follower = alice.start("events", "--follow", "--type", "note", "--json", PYTHONUNBUFFERED="1")
    try:
        bob("append", "note", "first")
        assert follower.stdout is not None
        assert '"content": "first"' in follower.stdout.readline()
        bob("append", "question", "no note")
        bob("append", "note", "second")
        assert '"content": "second"' in follower.stdout.readline()
    finally:
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=WAIT_S)
    assert (follower.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("wait", [(), ("--wait", "sequenced"), ("--wait", "durable")])
def test_what_is_appended_and_changes_nothing_is_3_and_says_why(alice: Clone, bob: Clone, wait: Sequence[str]) -> None:
    assert "void" not in bob("append", "note", "x", *wait, "--json").json()
    alice("agent", "expel", "bob")
    told = bob("append", "note", "x", *wait, "--json", code=3)
    assert told.json()["level"] == "sequenced" and told.json()["position"] == 5
    assert "bob was expelled" in told.json()["void"] and "bob was expelled" in told.err
    late = bob("append", "note", "y", *wait, code=3)
    assert "SEQUENCED at position 6" in late.out and "has no effect: " in late.err


@pytest.mark.parametrize("type_", ["config_changed", "task_claimed", "agent_joined", "message"])
def test_what_gitcoords_commands_write_is_not_appended(alice: Clone, type_: str) -> None:
    assert "one of gitcoord's own event types" in alice("append", type_, "x", "--no-sync", code=2).err


def test_nothing_is_said_to_somebody_who_is_not_there(alice: Clone, bob: Clone) -> None:
    refused = alice("append", "question", "x", "--to", "bob", "--to", "nobody", code=2).err
    assert "no agent 'nobody' in this fleet" in refused and alice("queue", "list", "--json").json()["events"] == []
    alice("append", "question", "x", "--to", "BOB")
    assert alice("events", "--json", "--limit", "1").rows()[0]["event"]["to"] == ["bob"]
