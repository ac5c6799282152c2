"""A lock that another process holds: three attempts, then it is told, and recorded; a dead process holds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import filelock
import pytest

from gitcoord.node.node import open_node
from gitcoord.store.home import locks
from gitcoord.store.home.locks import LockHeld
from gitcoord.store.home.spool import Spool
from tests.system.commands import Clone, holding, new_clone
from tests.waiting import wait_until


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return new_clone(tmp_path / "alice", tmp_path / "remote.git")


def errors_of(clone: Clone) -> list[dict[str, object]]:
    return [row["event"] for row in clone.events() if row["event"]["type"] == "error"]


def test_a_held_queue_is_told_after_three_attempts_and_recorded_by_who_comes_next(clone: Clone) -> None:
    with holding(clone.home / "queue.lock") as holder:
        done = clone.run("append", "note", "lost words", code=1)
        assert f"Failed to acquire lock on events.offline.log in 3 attempts: process {holder.pid} (" in done.stderr
        assert "end that process, then try again" in done.stderr
        assert len(done.stderr.splitlines()) <= 2
        said = done.stderr.removeprefix("gitcoord: ").removesuffix("\n")
        Spool(clone.home).put_error("alice", said)
        assert len(list((clone.home / "spool").iterdir())) == 1, "one finding, however often it is met"
    kept = clone.append("kept words")
    rows = clone.events()
    assert [row["event"]["content"] for row in rows if row["event"]["type"] == "note"] == ["kept words"]
    [error] = errors_of(clone)
    assert str(error["content"]).startswith("Failed to acquire lock on events.offline.log")
    assert error["actor"] == "alice"
    assert {row["level"] for row in rows} == {"sequenced"} and kept in [row["event"]["uid"] for row in rows]
    assert list((clone.home / "spool").iterdir()) == []


def test_a_round_records_what_waits_in_the_spool(clone: Clone) -> None:
    with holding(clone.home / "queue.lock"):
        clone.run("append", "note", "lost words", code=1)
    clone.run("sync")
    assert len(errors_of(clone)) == 1


def test_a_running_agent_outlives_a_held_queue(clone: Clone, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with clone.started("agent", "run", output=output) as runner:
        wait_until(lambda: b"leads term 1" in output.read_bytes(), what="a leader")
        with holding(clone.home / "queue.lock"):
            clone.run("append", "note", "lost words", code=1)
            assert runner.poll() is None
        kept = clone.append("kept words", "--wait", "sequenced", "--timeout", "40")
        assert runner.poll() is None, output.read_text(encoding="utf-8")
    assert kept in [row["event"]["uid"] for row in clone.events()]
    assert b"Traceback" not in output.read_bytes()


@pytest.mark.parametrize("name", ["queue.lock", "lock"])
def test_the_lock_of_a_killed_process_is_free_at_once(clone: Clone, name: str) -> None:
    with holding(clone.home / name) as holder:
        assert locks.is_held(clone.home / name)
        holder.kill()
        holder.wait()
        assert (clone.home / name).exists()
        clone.append("words", "--wait", "sequenced")


def test_a_sync_that_gets_no_lock_says_so_and_records_it_once(clone: Clone) -> None:
    with holding(clone.home / "lock") as holder, open_node(clone.path) as node:
        for _ in range(2):
            with pytest.raises(LockHeld, match=f"Failed to acquire lock on the sync .* process {holder.pid} "):
                node.sync(lock_timeout_s=0.3)
        [error] = [event for event in node.disk.pending() if event.type == "error"]
        assert error.content.startswith("Failed to acquire lock on the sync")
        with pytest.raises(filelock.Timeout):
            node.sync(lock_timeout_s=0)  # others sync for us: that is no error
    clone.run("sync")
    assert len(errors_of(clone)) == 1


def test_who_waits_for_the_sync_of_another_is_told_which_process_that_is(clone: Clone) -> None:
    with holding(clone.home / "lock") as holder:
        done = clone.run("append", "note", "words", "--wait", "durable", "--timeout", "0.5", "--json", code=4)
        assert f"process {holder.pid} " in done.stderr
        assert json.loads(done.stdout)["level"] == "queued"
    clone.run("sync")
    assert "words" in [row["event"]["content"] for row in clone.events()]
