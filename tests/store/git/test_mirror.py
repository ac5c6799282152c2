"""What others put on the remote costs them their own outboxes, and nobody else a round: bounds, pauses, odd refs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Oversized, Unreachable
from gitcoord.core.ports import Oid, TreeEntry, Update
from gitcoord.store.git import isolated_fetch, maintenance, mirror
from gitcoord.store.git.backoff import Backoff
from gitcoord.store.git.git_store import GitStore
from gitcoord.store.git.local_repo import make_bare_remote
from gitcoord.store.git.process import Bounds, GitResult
from gitcoord.store.git.transport import Transport
from tests.http_remote import HttpRemote
from tests.store.git import packs
from tests.store.git.test_git_store import LEDGER, NODES, ONE, commit, git, new_store

TWO, EVIL = f"{NODES}/two", f"{NODES}/evil"
SMALL = Bounds(file_bytes=64 * 1024, memory_bytes=512 * 1024 * 1024, cpu_s=60)


def bound(monkeypatch: pytest.MonkeyPatch, bounds: Bounds) -> None:
    for module, name in ((isolated_fetch, "ONE_OUTBOX"), (isolated_fetch, "TOGETHER"), (mirror, "TOGETHER")):
        monkeypatch.setattr(module, name, bounds)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outbox may have 64 KiB: what is larger need not be large, for these tests to be quick."""
    bound(monkeypatch, SMALL)


@pytest.fixture(params=["file", "http"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        make_bare_remote(tmp_path / "fleet.git")
        yield str(tmp_path / "fleet.git")
        return
    with HttpRemote(tmp_path / "server") as server:
        yield server.make("fleet.git")


@pytest.fixture
def writer(tmp_path: Path, url: str) -> Iterator[GitStore]:
    with new_store(tmp_path, url) as made:
        yield made


@pytest.fixture
def reader(tmp_path: Path, url: str) -> Iterator[GitStore]:
    with new_store(tmp_path, url) as made:
        yield made


def large(store: GitStore) -> Oid:
    """A commit that does not fit into the bounds, unlike any other."""
    tree = store.put_tree({"heartbeats.log": TreeEntry(store.put_blob(os.urandom(300_000)))})
    return store.put_commit(tree=tree, parents=[], message="large", author="mallory", time_s=1)


def push(store: GitStore, **refs: Oid | None) -> None:
    """Put these where they are not yet, by the last parts of their names."""
    names = {"ledger": LEDGER} | {name: f"{NODES}/{name}" for name in refs if name != "ledger"}
    store.push([Update(names[name], store.look_up(names[name]), oid) for name, oid in refs.items()])


def fetches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The refs that are fetched from now on, each time with a bar before them."""
    asked: list[str] = []
    real = Transport.fetch

    def noted(self: Transport, refs: list[str], *args: object, **options: object) -> object:
        asked.append("| " + " ".join(ref.rpartition("/")[2] for ref in refs))
        return real(self, refs, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Transport, "fetch", noted)
    return asked


def bare_of(folder: Path) -> Path:
    """The remote that `url` made in a test's folder."""
    [bare] = [path for path in (folder / "fleet.git", folder / "server" / "fleet.git") if path.exists()]
    return bare


def unfinished(store: GitStore) -> list[Path]:
    return list((store.path / "objects" / "pack").glob("tmp_*"))


# One bad outbox


@pytest.mark.parametrize("newcomer", [True, False])
def test_one_that_is_too_large_is_left_and_named_and_all_others_come(
    writer: GitStore, reader: GitStore, newcomer: bool
) -> None:
    good = {name: commit(writer, name) for name in ("ledger", "one", "two")}
    if not newcomer:
        push(writer, ledger=commit(writer, "old"))
        reader.fetch()
    push(writer, **good, evil=large(writer))
    found = reader.fetch(newcomer=newcomer)
    assert set(found.left) == {EVIL} and "larger than permitted" in found.left[EVIL]
    assert set(found.refs) == {LEDGER, ONE, TWO, EVIL}
    assert {reader.commit(oid).message for oid in good.values()} == set(good)
    assert not unfinished(reader), "what a cut fetch had brought is gone"


def test_it_is_left_alone_and_the_others_go_on_meanwhile(
    writer: GitStore, reader: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(writer, ledger=commit(writer, "l"), one=commit(writer, "a"), evil=large(writer))
    reader.fetch()
    asked = fetches(monkeypatch)
    for number in range(3):
        newer = commit(writer, f"b{number}")
        push(writer, one=newer)
        found = reader.fetch(first={"one"})
        assert found.refs[ONE] == newer and reader.commit(newer) and set(found.left) == {EVIL}
    assert not any("evil" in refs for refs in asked)
    assert reader.fetch().left and len(asked) == 3, "where nothing else is new, nothing is fetched"


def test_another_process_leaves_it_alone_too(url: str, writer: GitStore, reader: GitStore) -> None:
    push(writer, one=commit(writer, "a"), evil=large(writer))
    reader.fetch()
    again = GitStore(reader.path, url=url, ledger_ref=LEDGER, outbox_prefix=NODES)
    with pytest.MonkeyPatch.context() as patch:
        asked = fetches(patch)
        assert set(again.fetch().left) == {EVIL}
    again.close()
    assert not asked


def test_it_comes_as_soon_as_it_fits_and_its_pause_is_over(
    writer: GitStore, reader: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(writer, one=commit(writer, "a"), evil=large(writer))
    reader.fetch()
    better = commit(writer, "better")
    push(writer, evil=better)
    reader.fetch()
    real = time.time
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: real() + 60)
        found = reader.fetch()
    assert not found.left and found.refs[EVIL] == better and reader.commit(better).message == "better"
    assert not Backoff(reader.path).failing()


def test_each_that_is_bad_pauses_by_itself_and_new_names_do_not_help(
    writer: GitStore, reader: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(writer, one=commit(writer, "a"))
    reader.fetch()
    push(writer, evil=large(writer))
    reader.fetch(first={"one"})
    asked = fetches(monkeypatch)
    for number in range(5):
        push(writer, **{f"evil{number}": large(writer)}, one=commit(writer, f"b{number}"))
        assert len(reader.fetch(first={"one"}).left) == number + 2
    assert asked == ["| one"] * 5, "those of unknown nodes wait, all of them, once one was bad"


def test_one_that_takes_all_its_time_is_named_and_the_remote_is_not_called_unreachable(
    tmp_path: Path, writer: GitStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(writer, ledger=commit(writer, "l"), one=commit(writer, "a"), evil=commit(writer, "slow"))
    real = Transport.talk

    def slow(self: Transport, *words: str, after: list[str] = [], **options: object) -> object:  # noqa: B006
        if words[0] == "fetch" and any("*" in spec or EVIL in spec for spec in after):
            return GitResult(-9, "", "", timed_out=True)
        return real(self, *words, after=after, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Transport, "talk", slow)
    with new_store(tmp_path, url) as reader:
        found = reader.fetch()
        assert set(found.left) == {EVIL} and "took longer" in found.left[EVIL]
        assert reader.commit(found.refs[LEDGER]) and reader.commit(found.refs[ONE])


def test_where_the_way_fails_no_outbox_is_blamed(writer: GitStore, reader: GitStore, tmp_path: Path) -> None:
    push(writer, one=commit(writer, "a"))
    reader.fetch()
    push(writer, one=commit(writer, "b"))
    absent = str(tmp_path / "absent.git")
    with GitStore(reader.path, url=absent, ledger_ref=LEDGER, outbox_prefix=NODES) as cut_off:
        with pytest.raises(Unreachable):
            cut_off.fetch()
    assert not Backoff(reader.path).failing()
    assert not reader.fetch().left


# Small packs, giant objects


def test_a_small_pack_that_unpacks_to_a_giant_costs_its_own_outbox_only(
    tmp_path: Path, writer: GitStore, reader: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(monkeypatch, Bounds(file_bytes=packs.PIECE, memory_bytes=64 * packs.PIECE, cpu_s=60))
    push(writer, ledger=commit(writer, "l"), one=commit(writer, "a"))
    evil, large, size = packs.delta_bomb(bare_of(tmp_path), "heartbeats.log", 128)
    git(bare_of(tmp_path), "update-ref", EVIL, evil)
    found = reader.fetch()
    assert size < 2000 and set(found.left) == {EVIL} and reader.commit(found.refs[ONE]).message == "a"
    with pytest.raises(Corrupt):
        reader.blob(large)


def test_a_giant_that_could_be_brought_is_not_read(
    tmp_path: Path, writer: GitStore, reader: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(monkeypatch, replace(SMALL, file_bytes=packs.PIECE))
    push(writer, one=commit(writer, "a"))
    evil, large, _ = packs.delta_bomb(bare_of(tmp_path), "heartbeats.log", 65)
    git(bare_of(tmp_path), "update-ref", EVIL, evil)
    assert not reader.fetch().left
    with pytest.raises(Oversized, match="more than"):
        reader.blob(large)


# The ledger


def test_a_ledger_that_cannot_be_brought_is_told_and_asked_for_after_pauses(
    writer: GitStore, reader: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated_fetch, "LEDGER", SMALL)
    old, one = commit(writer, "old"), commit(writer, "a")
    push(writer, ledger=old, one=one)
    reader.fetch()
    push(writer, ledger=large(writer))
    with pytest.raises(Unreachable, match="the ledger .* cannot be fetched.*GITCOORD_TIMEOUT_S"):
        reader.fetch()
    assert reader.commit(old).message == "old" and not unfinished(reader)
    asked = fetches(monkeypatch)
    with pytest.raises(Unreachable, match="the ledger"):
        reader.fetch()
    assert not asked
    push(writer, ledger=old)
    assert reader.fetch().refs[LEDGER] == old


# What is left over


def test_unfinished_packs_are_removed_but_not_one_that_is_being_written(
    writer: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = writer.path / "objects" / "pack"
    pack.mkdir(exist_ok=True)
    (pack / "tmp_pack_x").write_bytes(b"x" * 1000)
    monkeypatch.setattr(maintenance, "works_on", lambda store: True)
    assert maintenance.remove_unfinished(writer.path) == 0 and unfinished(writer)
    monkeypatch.setattr(maintenance, "works_on", lambda store: False)
    monkeypatch.setattr(maintenance, "_user", lambda: -1)  # another user's git cannot be seen
    assert maintenance.remove_unfinished(writer.path) == 0 and unfinished(writer)
    os.utime(pack / "tmp_pack_x", (1, 1))
    assert maintenance.remove_unfinished(writer.path) == 1 and not unfinished(writer)


def test_a_fetch_that_is_at_work_keeps_its_unfinished_pack(tmp_path: Path, writer: GitStore) -> None:
    pack = writer.path / "objects" / "pack"
    pack.mkdir(exist_ok=True)
    (pack / "tmp_pack_x").write_bytes(b"x")
    environment = {**os.environ, "GIT_DIR": str(writer.path)}
    with subprocess.Popen(
        ["git", "hash-object", "--stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as living:
        assert maintenance.remove_unfinished(writer.path) == 0
        living.communicate(b"")
    assert maintenance.remove_unfinished(writer.path) == 1


def test_what_a_killed_process_left_goes_at_the_next_start(writer: GitStore, reader: GitStore) -> None:
    push(writer, one=commit(writer, "a"))
    pack = reader.path / "objects" / "pack"
    pack.mkdir(exist_ok=True)
    (pack / "tmp_pack_x").write_bytes(b"x")
    reader.fetch()
    assert not unfinished(reader)


# Odd refs, and many


def test_refs_that_name_no_commit_cost_nobody_a_round(tmp_path: Path, writer: GitStore, reader: GitStore) -> None:
    bare = bare_of(tmp_path)
    tip = commit(writer, "tip")
    push(writer, ledger=tip, one=tip)
    blob = (
        subprocess.run(
            ["git", "-C", str(bare), "hash-object", "-w", "--stdin"], input=b"x", capture_output=True, check=True
        )
        .stdout.decode()
        .strip()
    )
    git(bare, "update-ref", f"{NODES}/blob", blob)
    git(bare, "update-ref", f"{NODES}/tree", writer.commit(tip).tree)
    git(bare, "-c", "user.name=x", "-c", "user.email=x", "tag", "-a", "-m", "x", "t", tip)
    git(bare, "update-ref", f"{NODES}/tag", git(bare, "rev-parse", "refs/tags/t"))
    git(bare, "symbolic-ref", f"{NODES}/symbolic", ONE)
    git(bare, "symbolic-ref", f"{NODES}/dangling", "refs/heads/nowhere")
    git(bare, "symbolic-ref", f"{NODES}/ledger", LEDGER)
    for _ in range(2):
        found = reader.fetch()
        assert not found.left and not found.strays
        assert found.refs[LEDGER] == found.refs[ONE] == found.refs[f"{NODES}/symbolic"] == tip
        assert {f"{NODES}/{name}" for name in ("blob", "tree", "tag")} <= set(found.refs)


def test_thousands_of_refs_are_not_fetched_also_by_the_next_process(
    tmp_path: Path, url: str, writer: GitStore, reader: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = bare_of(tmp_path)
    tip = commit(writer, "tip")
    push(writer, ledger=tip, mine=tip)
    lines = "".join(
        f"create {NODES}/a{number:04d} {tip}\ncreate {NODES}/b{number:04d}/x {tip}\n" for number in range(2500)
    )
    subprocess.run(["git", "-C", str(bare), "update-ref", "--stdin"], input=lines, text=True, check=True)
    found = reader.fetch(first={"mine"})
    assert len(found.refs) == limits.OUTBOXES_MAX + 1 and f"{NODES}/mine" in found.refs
    assert len(found.left) == 2501 - limits.OUTBOXES_MAX and len(found.strays) == 2500
    kept = [path for path in (reader.path / "refs").rglob("*") if path.is_file()]
    assert len(kept) == limits.OUTBOXES_MAX + 1
    again = GitStore(reader.path, url=url, ledger_ref=LEDGER, outbox_prefix=NODES)
    asked = fetches(monkeypatch)
    assert again.fetch(first={"mine"}) == found
    again.close()
    assert not asked
