"""The home: what of a node survives, and what is told when it does not."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Refused
from gitcoord.store import files
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config, SyncProgress
from tests.store.drafts import Crash, FaultyOs
from tests.waiting import wait_until


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "gitcoord")
    made.create(Config(fleet_id="f" * 16, remote="origin", agent="alice"), node_id="laptop-3f9a")
    return made


def oid(number: int) -> str:
    return f"{number:040x}"


def test_a_home_is_there_only_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(1, 60):
        made = Home(tmp_path / str(step))
        disk = FaultyOs(step)
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", disk)
            try:
                made.create(Config(fleet_id="f" * 16, remote="origin"), node_id="laptop-3f9a")
            except Crash:
                pass
        again = Home(made.path)
        if again.exists:
            assert again.config().fleet_id == "f" * 16 and again.queue.pending() == []
        if not disk.crashed:
            assert again.exists
            return
    raise AssertionError("never finished")


def test_configuration_is_read_as_it_was_saved(home: Home) -> None:
    assert Home(home.path).config() == home.config()
    with pytest.raises(Refused, match="gitcoord init"):
        Home(home.path / "elsewhere").config()
    (home.path / "config.json").write_bytes(b'{"fleet_id": 1')
    with pytest.raises(Corrupt, match="config.json cannot be read"):
        home.config()


def test_keys_are_for_their_user_only(home: Home) -> None:
    before = os.umask(0)
    try:
        home.keys.save("Agent A", b"s" * 32)
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.keys.path("Agent A").stat().st_mode) == 0o600
    assert stat.S_IMODE((home.path / "keys").stat().st_mode) == 0o700
    assert home.keys.seed("agent a") == b"s" * 32
    assert home.keys.seed("bob") is None
    home.keys.path("bob").write_bytes(b"not a key\n")
    with pytest.raises(Refused, match=r"can be read by others, so it is not used: run `gitcoord doctor --fix`"):
        home.keys.seed("bob")
    home.keys.path("bob").chmod(0o600)
    with pytest.raises(Corrupt, match="is not a key"):
        home.keys.seed("bob")


def test_ids_that_are_paths_name_no_file(home: Home) -> None:
    for bad in ("../x", "a/b", "-rf", "", "x."):
        with pytest.raises(Refused, match="cannot name an agent"):
            home.keys.path(bad)


def test_an_outbox_noted_after_a_torn_line_is_still_known(home: Home) -> None:
    home.note_outbox(oid(1))
    with open(home.path / "pushed", "ab") as file:
        file.write(oid(2)[:17].encode())
    home.note_outbox(oid(3))
    assert home.pushed(oid(1)) and home.pushed(oid(3)) and not home.pushed(oid(2))


def test_outboxes_noted_are_bounded_and_the_newest_stay(home: Home) -> None:
    (home.path / "pushed").write_text("".join(f"{oid(n)}\n" for n in range(2 * limits.PUSHED_IDS_MAX)), "ascii")
    home.note_outbox(oid(999_999))
    assert home.pushed(oid(999_999)) and home.pushed(oid(2 * limits.PUSHED_IDS_MAX - 1)) and not home.pushed(oid(0))
    assert len((home.path / "pushed").read_bytes().split()) == limits.PUSHED_IDS_MAX + 1


def test_a_crash_while_an_outbox_is_noted_forgets_no_older_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (3, 2 * limits.PUSHED_IDS_MAX):
        for step in range(1, 20):
            (home.path / "pushed").write_text("".join(f"{oid(n)}\n" for n in range(count)), "ascii")
            disk = FaultyOs(step)
            with monkeypatch.context() as patch:
                patch.setattr(files, "os", disk)
                try:
                    home.note_outbox(oid(10**9))
                except Crash:
                    pass
            assert home.pushed(oid(count - 1))
            home.note_outbox(oid(10**9 + 1))
            assert home.pushed(oid(10**9 + 1))
            if not disk.crashed:
                break


def test_tip_and_term_are_kept_together(home: Home) -> None:
    assert (home.tip, home.term) == (None, 0)
    home.save_tip(oid(7), 3)
    assert (Home(home.path).tip, Home(home.path).term) == (oid(7), 3)
    (home.path / "tip").write_bytes(b"rubbish")
    with pytest.raises(Corrupt, match="tip is damaged"):
        assert home.tip


def test_carried_lines_come_back_until_they_are_done(home: Home) -> None:
    home.save_orphans([b"one", b"two"])
    assert list(Home(home.path).orphans) == [b"one", b"two"]
    home.save_orphans([])
    assert list(Home(home.path).orphans) == []


def test_progress_that_cannot_be_read_is_none(home: Home) -> None:
    home.save_progress(SyncProgress(node="laptop-3f9a", durable=3))
    assert Home(home.path).progress().durable == 3
    (home.path / "progress.json").write_bytes(b"{")
    assert Home(home.path).progress() == SyncProgress()


def _holds(path: str, ready: Any) -> None:
    with Home(Path(path)).run_lock("Agent A").acquire():
        ready.set()
        multiprocessing.Event().wait(60)


def test_an_agent_runs_for_as_long_as_its_process_lives(home: Home) -> None:
    many = multiprocessing.get_context("spawn")
    ready = many.Event()
    runner = many.Process(target=_holds, args=(str(home.path), ready))
    runner.start()
    assert ready.wait(30)
    assert home.running() == ["agent a"]
    runner.kill()
    runner.join()
    wait_until(lambda: home.running() == [], what="the dead process's lock to be free")
    assert (home.path / "heartbeats" / "agent a.lock").exists(), "the file stays, and says nothing"
