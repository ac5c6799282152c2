"""Sharing: who may write in a home is said by its folder, whatever the umask; another user's trouble is no pause."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

import gitcoord
from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.core.format.event import Draft
from gitcoord.node.clock import new_uid, utc_now
from gitcoord.node.diagnostics import local_checks
from gitcoord.node.tasks.worker import TaskWorker, WorkerConfig
from gitcoord.node.writer import Writer
from gitcoord.store import files
from gitcoord.store.home import sharing
from gitcoord.store.home.home import Home, find_home
from tests.users import ALICE, BOB, as_user, ground, needs_root

__all__ = ["ground"]

UMASKS = (0o000, 0o002, 0o022, 0o077)


def clone(path: Path, shared: str | None) -> Path:
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    if shared is not None:
        subprocess.run(["git", "-C", str(path), "config", "core.sharedRepository", shared], check=True)
    return path


def modes(home: Path) -> dict[str, int]:
    return {
        str(path.relative_to(home)): stat.S_IMODE(path.lstat().st_mode)
        for path in home.rglob("*")
        if not path.is_symlink()
    }


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
@pytest.mark.parametrize("shared", [None, "false", "group", "true", "all", "0660", "0640", "0600", "nonsense"])
def test_no_umask_opens_a_home_or_closes_it_to_its_group(tmp_path: Path, umask: int, shared: str | None) -> None:
    before = os.umask(umask)
    try:
        path = clone(tmp_path / "clone", shared)
        with gitcoord.join(path, agent="alice") as me:
            me.node.append(me.node.draft("note", "x", actor="alice"))
            me.sync()
            TaskWorker(me.node, "alice", WorkerConfig("true"), say=lambda kind, text: None)
            me.node.home.save_heartbeat("alice", b"{}")
            me.node.home.queue.spool.put_error("alice", "a lock")
            me.node.home.run_lock("alice")
    finally:
        os.umask(before)
    home = path / ".git" / "gitcoord"
    found = modes(home)
    assert len(found) > 40 and not {name: oct(mode) for name, mode in found.items() if mode & 0o002}
    assert all(mode == 0o600 for name, mode in found.items() if name.startswith("keys/"))
    works = shared in ("group", "true", "all", "0660")
    assert found["keys"] == (sharing.KEYS_SHARED if works else 0o700)
    for name, mode in found.items():
        if not name.startswith("keys"):
            is_object = name.startswith("store.git/objects/") and not (home / name).is_dir()
            assert bool(mode & 0o020) == (works and not is_object), (name, oct(mode))
            assert not works or mode & 0o040, (name, oct(mode))
    assert list(sharing.wrong_modes(home)) == []


def test_a_group_that_shares_a_clone_by_its_folders_alone_shares_the_home(tmp_path: Path) -> None:
    for around, shared in ((0o2775, True), (0o2770, True), (0o777, False), (0o775, False), (0o2755, False)):
        folder = tmp_path / oct(around)
        folder.mkdir()
        folder.chmod(around)
        sharing.make_home(folder / "gitcoord", "")
        assert sharing.is_shared(folder / "gitcoord") is shared
        assert not (folder / "gitcoord").stat().st_mode & 0o002


def test_the_doctor_tells_what_all_may_write_and_mends_it(tmp_path: Path) -> None:
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        home = me.node.home
    (home.path / "spool").mkdir(mode=0o777)
    (home.path / "spool").chmod(0o777)
    (home.path / "config.json").chmod(0o666)
    home.keys.path("alice").chmod(0o644)
    told = findings(home)
    assert "2 files or folders have other modes" in told["sharing"] and "others may read" in told["keys"]
    with pytest.raises(Refused, match="can be read by others"):
        home.keys.seed("alice")
    findings(home, fix=True)
    assert "owner's alone" in findings(home)["sharing"] and home.keys.seed("alice") is not None
    assert stat.S_IMODE((home.path / "config.json").stat().st_mode) == 0o644


def findings(home: Home, *, fix: bool = False) -> dict[str, str]:
    ctx = local_checks.DoctorContext(path=home.path.parent.parent, fix=fix)
    ctx.home, ctx.config = home, home.config()
    return {one.check: one.seen for check in ("keys", "sharing") for one in local_checks.CHECKS[check](ctx)}


# Other users


@pytest.fixture
def shared_clone(ground: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of alice's, for the group; each user trusts it, as git asks for."""
    (ground / "gitconfig").write_text("[safe]\n\tdirectory = *\n[user]\n\tname = x\n\temail = x@y\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(ground / "gitconfig"))
    monkeypatch.setenv("HOME", str(ground))
    subprocess.run(["git", "init", "-q", "--shared=group", str(ground / "clone")], check=True)
    with gitcoord.join(ground / "warm", agent="root") as me:  # what it imports is loaded before anybody changes user
        me.sync()
    give(ground / "clone")
    return ground / "clone"


def give(path: Path) -> None:
    from tests.users import GROUP

    for one in (path, *path.rglob("*")):
        os.chown(one, ALICE, GROUP)


def speaks(path: Path, agent: str) -> str:
    with gitcoord.join(path, agent=agent) as me:
        event = me.node.append(me.node.draft("note", "x", actor=agent))[0]
        me.sync()
        me.sync()
        return str(me.node.level(event)[0])


@needs_root
@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_two_users_of_one_group_work_in_one_clone(shared_clone: Path, umask: int) -> None:
    for user, agent in ((ALICE, "alice"), (BOB, "bob"), (ALICE, "alice"), (BOB, "bob")):
        assert as_user(user, lambda agent=agent: speaks(shared_clone, agent), umask=umask) == "sequenced"
    home = find_home(shared_clone)
    assert files.paused(home.path) is None and list(sharing.wrong_modes(home.path)) == []
    told = as_user(BOB, lambda: home.keys.seed("alice"), umask=umask)
    assert told.startswith("Refused: ") and "is the key of another user" in told
    assert "PermissionError" in as_user(BOB, lambda: home.keys.path("alice").unlink(), umask=umask)


def writes(home: Home, agent: str) -> list[str]:
    desk = Writer(home)
    return [
        one.uid for one in desk.append(Draft(actor=agent, type="note", content="x", timestamp=utc_now(), uid=new_uid()))
    ]


@needs_root
def test_a_user_who_may_not_write_here_is_told_what_to_run_and_pauses_nobody(
    shared_clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert as_user(ALICE, lambda: speaks(shared_clone, "alice")) == "sequenced"
    home = find_home(shared_clone)
    for path in (home.path, *home.path.rglob("*")):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o020)
    monkeypatch.setenv("GITCOORD_KEY", "ab" * 32)
    for act in (lambda: writes(home, "bob"), lambda: home.run_lock("bob"), lambda: speaks(shared_clone, "bob")):
        told = as_user(BOB, act)
        assert told.startswith("Forbidden: permission denied") and "core.sharedRepository group" in told, told
        assert f"this clone is user {ALICE}'s, and you are user {BOB}" in told
    monkeypatch.delenv("GITCOORD_KEY")
    assert files.paused(home.path) is None
    assert as_user(ALICE, lambda: speaks(shared_clone, "alice")) == "sequenced"


@needs_root
def test_where_git_trusts_no_other_users_repository_it_says_what_to_run(
    shared_clone: Path, ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert as_user(ALICE, lambda: speaks(shared_clone, "alice")) == "sequenced"
    (ground / "gitconfig").write_text("[user]\n\tname = x\n")
    told = as_user(BOB, lambda: speaks(shared_clone, "bob"))
    assert told.startswith("Refused: ") and f"git config --global --add safe.directory {shared_clone}/.git &&" in told
    assert as_user(ALICE, lambda: speaks(shared_clone, "alice")) == "sequenced"


def test_ones_own_file_that_may_not_be_written_pauses_as_ever(tmp_path: Path) -> None:
    with pytest.raises(GitcoordError, match="gitcoord resume"), files.pausing(tmp_path):
        raise PermissionError(13, "Permission denied", str(tmp_path / "tip"))
    assert files.paused(tmp_path)
