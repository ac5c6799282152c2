"""`gitcoord inbox --failed`: what a handler failed on, from the run that set it aside to the one that handles it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.clones import Clone


def test_from_a_handler_that_fails_to_one_that_does_not(alice: Clone, bob: Clone, tmp_path: Path) -> None:
    asked = alice("append", "question", "Who?", "--to", "bob", "--json", "--wait", "sequenced").json()["id"]
    bob("agent", "run", "--once", "--no-lead", "--on-event", "exit 3", "--attempts", "1")
    told = bob("inbox", "--failed", "--json").json()
    [row] = told["items"]
    documented = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text("utf-8")
    section = documented.split(f"`{told['schema']}`", 1)[1].split("\n## ", 1)[0]
    assert told["schema"] == "gitcoord.inbox.failed/1" and [one for one in row if f"`{one}`" not in section] == []
    assert (row["id"], row["author"], row["text"], row["reason"]) == (asked, "alice", "Who?", "ended with 3")
    assert "Who?" in bob("inbox", "--failed").out and asked[:8] in bob("inbox", "--failed").out
    [failed] = bob("status", "--json").json()["failed"]
    assert (failed["agent"], failed["events"], failed["newest"]) == ("bob", 1, asked)
    assert f"! 1 event that bob's handler failed on, the newest {asked[:8]}" in bob("status").out
    assert "1 to be handled again" in bob("inbox", "--failed", "--replay", asked[:4]).out
    assert bob("status", "--json").json()["failed"] == []
    bob("agent", "run", "--once", "--no-lead", "--on-event", f"cat > {tmp_path}/seen")
    assert json.loads((tmp_path / "seen").read_text())["event"]["uid"] == asked
    assert bob("inbox", "--failed", "--json").json()["items"] == []
    assert bob("inbox", "--failed").err == "gitcoord: no event of bob was set aside\n"


def test_what_cannot_be_replayed_is_told(alice: Clone) -> None:
    assert "nothing to do" in alice("inbox", "--failed", "--replay").out
    assert "`gitcoord inbox --failed` lists them" in alice("inbox", "--failed", "--replay", "abc", code=2).err
    assert "--replay needs --failed" in alice("inbox", "--replay", code=2).err
    assert "gitcoord inbox --failed" in alice("inbox", "--help").out
    alice("inbox", "--json")
