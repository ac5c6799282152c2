"""Messages between two clones; bob's node is away while they are written."""

from __future__ import annotations

from tests.cli.clones import Clone
from tests.waiting import wait_until


def test_two_clones_talk(alice: Clone, bob: Clone) -> None:
    alice("sync")
    sent = alice("message", "send", "the parser is yours", "--to", "bob", "--priority", "high", "--json").json()
    assert sent["level"] == "sequenced" and sent["message"]["to"] == ["bob"]
    alice("message", "broadcast", "release at noon")
    bob("sync")
    rows = bob("inbox", "--json").json()["items"]
    assert [(row["from"], row["priority"], row["text"]) for row in rows] == [
        ("alice", "HIGH", "the parser is yours"),
        ("alice", "MEDIUM", "release at noon"),
    ]
    bob("message", "reply", sent["ids"][0][:6], "-", stdin=b"thanks\n")
    bob("message", "read")
    assert bob("inbox").out == ""
    alice("sync")
    assert "thanks" in alice("inbox").out
    assert alice("message", "show", sent["ids"][0], "--json").json()["receipts"] == {"bob": "read"}
    assert "no message" in alice("message", "show", "zzzz", code=2).err


def test_a_message_waits_in_the_queue_while_the_remote_is_away(alice: Clone, bob: Clone) -> None:
    alice("sync")
    with alice.outage():
        result = alice("message", "send", "later", "--to", "bob")  # without its 60 s
        assert "QUEUED" in result.out and "safe on this disk" in result.err
    alice("sync")
    bob("sync")
    assert "later" in bob("inbox").out


def test_who_looks_into_the_inbox_sees_what_is_on_the_remote(alice: Clone, bob: Clone) -> None:
    bob("inbox")
    alice("message", "send", "news", "--to", "bob")
    assert bob("inbox", "--no-sync").out == ""
    wait_until(lambda: "news" in bob("inbox").out, what="the message")  # not twice within a poll
    with bob.outage():
        wait_until(lambda: "showing the local state" in bob("inbox").err, what="the outage to be told")
        assert "news" in bob("inbox").out


def test_what_agent_run_has_seen_is_delivered(alice: Clone, bob: Clone) -> None:
    alice("sync")
    uid = alice("message", "send", "the parser is yours", "--to", "bob", "--json").json()["ids"][0]
    bob("sync")  # a command says nothing of itself
    alice("sync")
    assert alice("message", "show", uid, "--json").json()["receipts"] == {"bob": "sent"}
    bob("agent", "run", "--once")
    bob("agent", "run", "--once")  # the first heartbeat may have left before the first fold
    alice("sync")
    assert alice("message", "show", uid, "--json").json()["receipts"] == {"bob": "delivered"}
