"""What a remote on this machine shows without starting git, and when git is asked all the same."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.core.errors import Unreachable
from gitcoord.core.ports import Oid, TreeEntry, Update
from gitcoord.store.git import local_remote
from gitcoord.store.git.git_store import GitStore
from gitcoord.store.git.local_repo import init_repository, make_bare_remote

LEDGER = "refs/heads/gitcoord/ledger"
NODES = "refs/gitcoord/nodes"
ONE = f"{NODES}/one"
LISTING = "global\0user.name\nalice\0"


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    make_bare_remote(tmp_path / "fleet.git")
    return tmp_path / "fleet.git"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    init_repository(tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The commands of git, as they are started."""
    words: list[str] = []
    from gitcoord.store.git import git_store as module

    spawn = module.spawn

    def noting(args, *rest, **more):  # type: ignore[no-untyped-def]
        words.append(args[0])
        return spawn(args, *rest, **more)

    monkeypatch.setattr(module, "spawn", noting)
    return words


@pytest.fixture
def store(tmp_path: Path, bare: Path, clone: Path, started: list[str]) -> Iterator[GitStore]:
    path = tmp_path / "store.git"
    GitStore.create(path)
    with GitStore(path, url=str(bare), ledger_ref=LEDGER, outbox_prefix=NODES, config_from=clone) as made:
        yield made


def commit(store: GitStore, text: str, *parents: Oid) -> Oid:
    tree = store.put_tree({"events.log": TreeEntry(store.put_blob(text.encode()))})
    return store.put_commit(tree=tree, parents=parents, message=text, author="alice", time_s=1_700_000_000)


def test_a_quiet_look_at_a_remote_on_this_machine_starts_no_git(store: GitStore, started: list[str]) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip), Update(LEDGER, None, tip)])
    started.clear()
    assert [store.fetch().refs for _ in range(3)] == [{ONE: tip, LEDGER: tip}] * 3
    assert started == []


def test_what_others_pushed_packed_and_deleted_there_is_seen_at_the_next_look(store: GitStore, bare: Path) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    newer = git(bare, "commit-tree", "-p", tip, "-m", "newer", tip + "^{tree}")
    git(bare, "update-ref", LEDGER, newer)
    assert store.fetch().refs == {ONE: tip, LEDGER: newer} and store.commit(newer).parents == (tip,)
    git(bare, "pack-refs", "--all", "--prune")
    assert store.fetch().refs == {ONE: tip, LEDGER: newer}
    git(bare, "update-ref", "-d", ONE)
    assert store.fetch().refs == {LEDGER: newer}


def test_a_remote_that_is_gone_is_unreachable_not_quiet(store: GitStore, bare: Path) -> None:
    store.push([Update(ONE, None, commit(store, "x"))])
    shutil.move(bare, bare.with_name("moved.git"))
    with pytest.raises(Unreachable):
        store.fetch()


def test_a_remote_that_the_settings_of_git_send_elsewhere_is_not_looked_at(bare: Path, clone: Path) -> None:
    assert local_remote.repository(str(bare), LISTING) == local_remote.repository(f"file://{bare}", LISTING) == bare
    assert local_remote.repository(str(clone), LISTING) == clone / ".git"
    for key in ("url.https://host/.insteadof", "url./elsewhere.pushinsteadof"):
        assert local_remote.repository(str(bare), f"{LISTING}local\0{key}\n{bare}\0") is None
    assert local_remote.repository(str(bare), "") is None  # nobody asked git


def test_what_is_no_plain_repository_is_left_to_git(bare: Path, clone: Path, tmp_path: Path) -> None:
    git(clone, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "first")
    git(clone, "worktree", "add", "-q", str(tmp_path / "tree"))
    for path in (tmp_path / "tree", clone / ".git" / "worktrees" / "tree", tmp_path / "nowhere", tmp_path):
        assert local_remote.repository(str(path), LISTING) is None
    assert local_remote.repository("https://host/fleet.git", LISTING) is None
    (bare / "reftable").mkdir()
    assert local_remote.repository(str(bare), LISTING) is None


def test_what_the_files_do_not_tell_for_certain_git_tells(bare: Path) -> None:
    assert local_remote.shown(bare, LEDGER, NODES) == {}
    (bare / LEDGER).parent.mkdir(parents=True)
    (bare / LEDGER).write_text("ref: refs/heads/other\n")
    assert local_remote.shown(bare, LEDGER, NODES) is None
    (bare / LEDGER).unlink()
    (bare / "packed-refs").write_bytes(b"#" * (local_remote.PACKED_BYTES_MAX + 1))
    assert local_remote.shown(bare, LEDGER, NODES) is None
