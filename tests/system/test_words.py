"""Words with real processes: a proposal waits for approval, an order is carried on, a request lapses."""

from __future__ import annotations

from typing import Any

from tests.system.fleet import Clone
from tests.waiting import wait_until


def items(clone: Clone, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = clone.json(*words)["items"]
    return rows


def test_under_supervision_the_leader_does_what_was_approved_and_nothing_else(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    alice.start().wait_for("leader", "alice leads term 1 (here)")
    alice.run("*autonomy:supervised")
    bob.run("agent", "register", "--capabilities", "python", "--slots", "2", "--accept-assignments")
    bob.start()
    ids = [bob.json("task", "create", title, "--needs", "python")["ids"][0] for title in ("parser", "schema")]
    waiting = wait_until(lambda: len(rows := items(bob, "autonomy", "proposals")) == 2 and rows, what="proposals")
    assert {row["event"]["data"]["agent"] for row in waiting} == {"bob"}
    assert "2 proposals of the leader to approve or reject" in bob.run("status").stdout
    parser, schema = sorted(waiting, key=lambda row: "schema" in row["proposal"])
    bob.run("autonomy", "reject", schema["id"], "--why", "not today")
    bob.run("autonomy", "approve", parser["id"])
    wait_until(lambda: items(bob, "task", "list")[0]["status"] != "ready", what="the assignment")
    assert {row["id"]: row["status"] for row in items(bob, "task", "list")} == {ids[0]: "assigned", ids[1]: "ready"}
    assert sorted(row["status"] for row in items(bob, "autonomy", "proposals", "--all")) == ["done", "rejected"]


def test_a_killed_agents_order_goes_to_its_stand_in_and_a_lapsed_request_is_told(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    alice.start().wait_for("leader", "alice leads term 1 (here)")
    bob.run("agent", "register")
    running = bob.start()
    sent = alice.json("message", "send", "the parser is yours", "--to", "bob")["ids"][0]
    wait_until(
        lambda: alice.json("message", "show", sent)["receipts"] == {"bob": "delivered"},
        what="bob's heartbeat that says how far he has read",
    )
    running.kill()
    [order] = alice.json("directive", "issue", "freeze the schema", "--to", "bob", "--on-failure", "agent alice")["ids"]
    alice.run("message", "request", "which schema?", "--to", "bob", "--within", "1s")
    wait_until(
        lambda: [part["agent"] for part in alice.json("directive", "show", order)["parts"]] == ["bob", "alice"],
        what="the plan to be followed",
    )
    wait_until(
        lambda: any(row["type"] == "request_lapsed" for row in items(alice, "inbox")), what="word of the lapsed request"
    )
