"""`gitcoord leave` and `gitcoord resume`: ends that lose nothing, and going on."""

from __future__ import annotations

import errno
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.clones import Clone
from tests.waiting import WAIT_S, wait_until


def refs(clone: Clone) -> list[str]:
    words = ["git", "-C", str(clone.remote), "for-each-ref", "--format=%(refname)"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def left_homes(clone: Clone) -> list[Path]:
    return sorted((clone.path / ".git").glob("gitcoord.left-*"))


def test_leaving_delivers_the_queue_says_so_and_retires_the_outbox(alice: Clone, bob: Clone) -> None:
    bob("append", "note", "last words", "--no-sync")
    with bob.node() as node:
        outbox = f"refs/gitcoord/nodes/{node.disk.node}"
    assert outbox in refs(alice)
    value = bob("leave", "--json").json()
    assert (value["agents"], value["undelivered"], value["outbox_retired"]) == (["bob"], 0, True)
    assert outbox not in refs(alice)
    shown = [row["event"]["type"] for row in alice("events", "--json").rows()]
    assert shown == ["fleet_founded", "agent_joined", "note", "agent_left"]
    [kept] = left_homes(bob)
    assert value["kept"] == str(kept) and (kept / "keys" / "bob.key").exists() and not bob.home.exists()
    assert "in no fleet yet" in bob("status", code=2).err
    [one] = [one for one in alice("status", "--json").json()["agents"] if one["id"] == "bob"]
    assert one["state"] == "left"


def test_leaving_in_an_outage_changes_nothing_unless_forced(alice: Clone, bob: Clone) -> None:
    with bob.outage():
        bob("append", "note", "unheard")
        refused = bob("leave", "--timeout", "0.3", code=4)
        assert "1 queued events are not in the log yet" in refused.err and "--force" in refused.err
        assert len(bob("queue", "list", "--json").json()["events"]) == 1
        forced = bob("leave", "--force", "--timeout", "0.3")
    assert "2 events undelivered" in forced.out
    [kept] = left_homes(bob)
    assert b"unheard" in (kept / "events.offline.log").read_bytes()


def test_who_left_may_come_back_with_the_same_key(alice: Clone, bob: Clone) -> None:
    told = bob("leave").out
    assert "another key" in bob("init", "--agent", "bob", "--remote", str(bob.remote), code=2).err
    [kept] = left_homes(bob)
    (line,) = [line for line in told.splitlines() if line.startswith("to come back: gitcoord ")]
    bob(*shlex.split(line.removeprefix("to come back: gitcoord ")))
    assert (bob.home / "keys" / "bob.key").read_bytes() == (kept / "keys" / "bob.key").read_bytes()
    assert bob("append", "note", "back").code == 0
    alice("sync")
    [one] = [one for one in alice("status", "--json").json()["agents"] if one["id"] == "bob"]
    assert one["state"] == "silent"


def test_who_leaves_gives_back_what_it_has(alice: Clone, bob: Clone) -> None:
    alice("task", "create", "Fix it")
    bob("next", "--claim")
    bob("reserve", "src")
    bob("leave")
    assert alice("reservations", "--json").json()["items"] == []
    assert [one["status"] for one in alice("task", "list", "--json").json()["items"]] == ["ready"]


def test_nobody_leaves_while_their_agent_runs(alice: Clone) -> None:
    runner = alice.start("agent", "run", "--quiet")
    try:
        wait_until(lambda: alice("status", "--json").json()["running"], what="the agent")
        assert "alice runs on this node" in alice("leave", code=2).err
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.communicate(timeout=WAIT_S)


def test_nothing_to_resume(alice: Clone) -> None:
    assert alice("resume").out == "nothing to resume\n"
    assert alice("resume", "--json").json() == {
        "schema": "gitcoord.resume/1",
        "resumed": False,
        "reason": None,
        "id": None,
    }


def test_resuming_takes_the_pause_away_and_tells_the_fleet(alice: Clone) -> None:
    (alice.home / "paused").write_text("no space left on the disk\n")
    (alice.home / "reserve").unlink()
    assert "gitcoord resume" in alice("append", "note", "x", code=1).err
    assert alice("status").out.startswith("! paused: no space left on the disk; fix that")
    assert "resumed after" in alice("resume").out
    assert not (alice.home / "paused").exists() and (alice.home / "reserve").stat().st_size > 0
    [event] = alice("events", "--type", "error", "--json").rows()
    assert event["event"]["data"]["paused"]["reason"] == "no space left on the disk"
    alice("append", "note", "x")


def test_a_disk_that_still_refuses_stays_paused(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (alice.home / "paused").write_text("no space left on the disk\n")
    monkeypatch.setattr("gitcoord.store.files.write_durably", full)
    assert "still paused: no space left on the disk" in alice("resume", code=1).err
    assert (alice.home / "paused").exists()
