"""One contract for the remote and the objects: the in-memory twin and real git must not differ."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Unreachable
from gitcoord.core.ports import Objects, Oid, PushOutcome, Remote, TreeEntry, Update
from gitcoord.store.git.git_store import GitStore
from gitcoord.store.git.local_repo import make_bare_remote
from gitcoord.store.git.refs import loose_path
from gitcoord.store.memory import MemoryServer, MemoryStore
from tests.http_remote import HttpRemote

LEDGER = "refs/heads/gitcoord/ledger"
NODES = "refs/gitcoord/nodes"
ONE, TWO = f"{NODES}/one", f"{NODES}/two"
ABSENT = "1" * 40


class Store(Objects, Remote, Protocol):
    pass


class World:
    """A remote of some kind: stores that share it, and its misfortunes."""

    def __init__(
        self,
        store: Callable[[], Store],
        down: Callable[[], object],
        deny: Callable[[str], None],
        spoil: Callable[[Oid], None],
    ) -> None:
        self.store = store
        self.down = down
        self.deny = deny
        self.spoil = spoil  # an object is lost on the remote


@pytest.fixture(params=["memory", "file", "http"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield memory_world()
        elif request.param == "file":
            bare = tmp_path / "fleet.git"
            make_bare_remote(bare)
            away = tmp_path / "away.git"
            yield git_world(stack, tmp_path, str(bare), bare, lambda: shutil.move(bare, away))
        else:
            server = stack.enter_context(HttpRemote(tmp_path / "server"))
            url = server.make("fleet.git")

            def down() -> None:
                stack.enter_context(server.outage())

            yield git_world(stack, tmp_path, url, tmp_path / "server" / "fleet.git", down)


def memory_world() -> World:
    server = MemoryServer()

    def down() -> None:
        server.reachable = False

    def deny(ref: str) -> None:
        server.deny = lambda update: "hook declined: not on Friday" if update.ref == ref else None

    def spoil(oid: Oid) -> None:
        del server.objects[oid]

    return World(lambda: MemoryStore(server, ledger_ref=LEDGER, outbox_prefix=NODES), down, deny, spoil)


def git_world(stack: ExitStack, folder: Path, url: str, bare: Path, down: Callable[[], object]) -> World:
    made: list[GitStore] = []

    def store() -> Store:
        path = folder / f"store-{len(made)}.git"
        GitStore.create(path)
        made.append(stack.enter_context(GitStore(path, url=url, ledger_ref=LEDGER, outbox_prefix=NODES)))
        return made[-1]

    def deny(ref: str) -> None:
        (bare / "hooks").mkdir(exist_ok=True)
        hook = bare / "hooks" / "update"
        hook.write_text(f'#!/bin/sh\n[ "$1" != "{ref}" ] || {{ echo not on Friday >&2; exit 1; }}\n')
        hook.chmod(0o755)

    def spoil(oid: Oid) -> None:
        loose_path(bare, oid).unlink()

    return World(store, down, deny, spoil)


def commit(store: Objects, text: str, *parents: Oid) -> Oid:
    tree = store.put_tree({"events.log": TreeEntry(store.put_blob(text.encode()))})
    return store.put_commit(tree=tree, parents=parents, message=text, author="alice", time_s=1_700_000_000)


def push(store: Remote, ref: str, old: Oid | None, new: Oid | None) -> PushOutcome:
    return store.push([Update(ref, old, new)])[ref].outcome


def line(store: Objects, length: int) -> list[Oid]:
    commits: list[Oid] = []
    for number in range(length):
        commits.append(commit(store, f"commit {number}", *commits[-1:]))
    return commits


# Objects


def test_what_is_put_can_be_read_again(world: World) -> None:
    store = world.store()
    blob = store.put_blob(b"hello\n")
    tree = store.put_tree({"a": TreeEntry(blob)})
    root = store.put_commit(tree=tree, parents=[], message="first", author="Agent A", time_s=1)
    tip = store.put_commit(tree=tree, parents=[root, blob], message="zwölf\n\nbody\n", author="a", time_s=2)
    assert store.blob(blob) == b"hello\n"
    assert store.tree(tree) == {"a": TreeEntry(blob)}
    assert store.commit(tip).parents == (root, blob)
    assert store.commit(tip).tree == tree
    assert store.commit(tip).message == "zwölf\n\nbody\n"


def test_names_of_objects_are_those_of_git(world: World) -> None:
    store = world.store()
    assert store.put_blob(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert store.put_blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert store.put_tree({}) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_empty_blobs_and_trees_are_read(world: World) -> None:
    store = world.store()
    assert store.blob(store.put_blob(b"")) == b""
    assert store.tree(store.put_tree({})) == {}
    assert store.blob(store.put_blob(b"after")) == b"after"


def test_writing_twice_gives_the_same_object(world: World) -> None:
    store = world.store()
    assert store.put_blob(b"again") == store.put_blob(b"again")
    assert commit(store, "same") == commit(store, "same")


def test_folders_sort_as_if_they_ended_in_a_slash(world: World) -> None:
    store = world.store()
    blob = store.put_blob(b"x")
    folder = store.put_tree({"inner": TreeEntry(blob)})
    names = {"a": TreeEntry(folder, is_tree=True), "a.b": TreeEntry(blob), "a0": TreeEntry(blob), "a-": TreeEntry(blob)}
    tree = store.put_tree(names)
    assert list(store.tree(tree)) == ["a-", "a.b", "a", "a0"]
    assert store.tree(tree) == names
    assert tree == store.put_tree(dict(reversed(names.items())))


def test_a_large_blob_travels_whole(world: World) -> None:
    writer, reader = world.store(), world.store()
    data = b"0123456789abcde\n" * (5 * 1024 * 1024 // 16)
    tree = writer.put_tree({"large": TreeEntry(writer.put_blob(data))})
    tip = writer.put_commit(tree=tree, parents=[], message="large", author="a", time_s=1)
    assert push(writer, ONE, None, tip) is PushOutcome.ACCEPTED
    reader.fetch()
    assert reader.blob(reader.tree(reader.commit(tip).tree)["large"].oid) == data


def test_a_missing_object_is_corrupt(world: World) -> None:
    store = world.store()
    for read in (store.blob, store.tree, store.commit):
        with pytest.raises(Corrupt, match=ABSENT):
            read(ABSENT)
    assert store.blob(store.put_blob(b"still works")) == b"still works"


def test_an_object_of_another_kind_is_corrupt(world: World) -> None:
    store = world.store()
    blob = store.put_blob(b"no tree")
    for read in (store.tree, store.commit):
        with pytest.raises(Corrupt, match="blob"):
            read(blob)
    assert store.blob(blob) == b"no tree"


@pytest.mark.parametrize("name", ["", "HEAD", "main\n", "--batch", "ce01", ABSENT[:-1] + "\n"])
def test_only_full_names_of_objects_are_read(world: World, name: str) -> None:
    with pytest.raises(Corrupt):
        world.store().blob(name)


def test_an_author_cannot_break_out_of_the_header(world: World) -> None:
    store = world.store()
    tree = store.put_tree({})
    oid = store.put_commit(tree=tree, parents=[], message="m", author="x\nparent <y>", time_s=1)
    assert store.commit(oid).parents == ()
    assert store.commit(oid).message == "m"


# Histories


def test_ancestors_are_found_near_and_far(world: World) -> None:
    store = world.store()
    commits = line(store, 200)
    assert store.is_ancestor(commits[0], commits[-1])
    assert store.is_ancestor(commits[-2], commits[-1])
    assert store.is_ancestor(commits[-1], commits[-1])
    assert not store.is_ancestor(commits[-1], commits[0])
    assert not store.is_ancestor(commit(store, "elsewhere"), commits[-1])


def test_an_ancestor_may_be_a_second_parent(world: World) -> None:
    store = world.store()
    root, side = commit(store, "root"), commit(store, "side")
    assert store.is_ancestor(side, commit(store, "merge", root, side))


def test_what_is_not_here_is_no_ancestor(world: World) -> None:
    store = world.store()
    tip = commit(store, "tip")
    assert not store.is_ancestor(ABSENT, tip)
    assert not store.is_ancestor(tip, ABSENT)
    assert not store.is_ancestor(ABSENT, ABSENT)


def test_first_parents_come_oldest_first_and_within_the_limit(world: World) -> None:
    store = world.store()
    commits = line(store, 10)
    assert store.first_parents(commits[-1], stop=None, limit=100) == commits
    assert store.first_parents(commits[-1], stop=commits[3], limit=100) == commits[4:]
    assert store.first_parents(commits[-1], stop=commits[3], limit=2) == commits[-2:]
    assert store.first_parents(commits[-1], stop=commits[-1], limit=5) == []


# What is kept


def test_kept_refs_are_listed_by_prefix_until_deleted(world: World) -> None:
    store = world.store()
    tip = commit(store, "tip")
    store.keep("ledger", tip)
    store.keep("forks/1", tip)
    store.keep("forks/1", commit(store, "newer"))
    assert store.kept() == {"ledger": tip, "forks/1": commit(store, "newer")}
    assert store.kept("forks/") == {"forks/1": commit(store, "newer")}
    store.keep("ledger", None)
    store.keep("ledger", None)
    assert store.kept("ledger") == {}


def test_fetching_prunes_nothing_that_is_kept(world: World) -> None:
    store = world.store()
    tip = commit(store, "tip")
    store.keep("ledger", tip)
    assert store.fetch().refs == {}
    assert store.kept() == {"ledger": tip}


# The remote


def test_an_empty_remote_has_no_refs(world: World) -> None:
    assert world.store().fetch().refs == {}


def test_nothing_to_push_is_nothing(world: World) -> None:
    assert world.store().push([]) == {}


def test_what_one_wrote_another_reads(world: World) -> None:
    alice, bob = world.store(), world.store()
    root = commit(alice, "root")
    tip = commit(alice, "tip", root)
    assert push(alice, LEDGER, None, tip) is PushOutcome.ACCEPTED
    with pytest.raises(Corrupt):
        bob.commit(tip)
    assert bob.fetch().refs == {LEDGER: tip}
    assert bob.first_parents(tip, stop=None, limit=10) == [root, tip]
    assert bob.blob(bob.tree(bob.commit(tip).tree)["events.log"].oid) == b"tip"


def test_a_reader_sees_each_new_value(world: World) -> None:
    alice, bob = world.store(), world.store()
    old = None
    for number in range(4):
        new = commit(alice, f"heartbeat {number}")  # parentless, as outboxes are
        assert push(alice, ONE, old, new) is PushOutcome.ACCEPTED
        assert bob.fetch().refs == {ONE: new}
        assert bob.commit(new).message == f"heartbeat {number}"
        old = new


def test_creating_what_exists_is_stale(world: World) -> None:
    alice, bob = world.store(), world.store()
    assert push(alice, ONE, None, commit(alice, "a")) is PushOutcome.ACCEPTED
    assert push(bob, ONE, None, commit(bob, "b")) is PushOutcome.STALE
    assert bob.fetch().refs == {ONE: commit(alice, "a")}


def test_updating_from_another_value_is_stale(world: World) -> None:
    store = world.store()
    a, b, c = (commit(store, text) for text in "abc")
    assert push(store, ONE, None, a) is PushOutcome.ACCEPTED
    assert push(store, ONE, b, c) is PushOutcome.STALE
    assert push(store, ONE, ABSENT, c) is PushOutcome.STALE
    assert push(store, ONE, a, c) is PushOutcome.ACCEPTED
    assert store.fetch().refs == {ONE: c}


def test_a_fast_forward_with_a_wrong_expectation_is_stale(world: World) -> None:
    store = world.store()
    a, b, c = line(store, 3)
    push(store, LEDGER, None, b)
    assert push(store, LEDGER, a, c) is PushOutcome.STALE
    assert store.fetch().refs == {LEDGER: b}


def test_updating_what_is_absent_is_stale(world: World) -> None:
    store = world.store()
    assert push(store, ONE, commit(store, "a"), commit(store, "b")) is PushOutcome.STALE
    assert store.fetch().refs == {}


def test_a_ref_is_deleted_only_at_its_expected_value(world: World) -> None:
    store = world.store()
    a, b = commit(store, "a"), commit(store, "b")
    push(store, ONE, None, a)
    assert push(store, ONE, b, None) is PushOutcome.STALE
    assert push(store, ONE, a, None) is PushOutcome.ACCEPTED
    assert push(store, ONE, a, None) is PushOutcome.STALE
    assert store.fetch().refs == {}


def test_a_value_that_is_there_already_is_not_compared(world: World) -> None:
    store = world.store()
    a = commit(store, "a")
    push(store, ONE, None, a)
    answer = store.push([Update(ONE, ABSENT, a)])[ONE]
    assert (answer.outcome, answer.reason) == (PushOutcome.ACCEPTED, "already there")


def test_one_of_two_racing_stores_wins(world: World) -> None:
    alice, bob = world.store(), world.store()
    root = commit(alice, "root")
    push(alice, LEDGER, None, root)
    bob.fetch()
    assert push(alice, LEDGER, root, commit(alice, "a", root)) is PushOutcome.ACCEPTED
    assert push(bob, LEDGER, root, commit(bob, "b", root)) is PushOutcome.STALE


def test_a_stale_ref_does_not_stop_the_other(world: World) -> None:
    alice, bob = world.store(), world.store()
    push(alice, LEDGER, None, commit(alice, "ledger"))
    mine = commit(bob, "outbox")
    told = bob.push([Update(TWO, None, mine), Update(LEDGER, None, commit(bob, "mine"))])
    assert {ref: was.outcome for ref, was in told.items()} == {TWO: PushOutcome.ACCEPTED, LEDGER: PushOutcome.STALE}
    assert bob.fetch().refs == {TWO: mine, LEDGER: commit(alice, "ledger")}


def test_a_denied_ref_says_why_and_does_not_stop_the_other(world: World) -> None:
    store = world.store()
    world.deny(LEDGER)
    mine = commit(store, "outbox")
    told = store.push([Update(LEDGER, None, commit(store, "l")), Update(ONE, None, mine)])
    assert told[LEDGER].outcome is PushOutcome.DENIED
    assert "not on Friday" in told[LEDGER].reason and "\n" not in told[LEDGER].reason
    assert told[ONE].outcome is PushOutcome.ACCEPTED
    assert store.fetch().refs == {ONE: mine}


def test_a_branch_in_the_way_of_a_folder_is_denied_not_stale(world: World) -> None:
    store = world.store()
    push(store, ONE, None, commit(store, "a"))
    told = store.push([Update(f"{ONE}/below", None, commit(store, "b"))])[f"{ONE}/below"]
    assert told.outcome is PushOutcome.DENIED
    assert "cannot create" in told.reason


def test_a_vanished_ref_is_gone_from_the_next_fetch(world: World) -> None:
    alice, bob = world.store(), world.store()
    a, ledger = commit(alice, "a"), commit(alice, "l")
    alice.push([Update(ONE, None, a), Update(TWO, None, a), Update(LEDGER, None, ledger)])
    assert set(bob.fetch().refs) == {ONE, TWO, LEDGER}
    alice.push([Update(ONE, a, None), Update(LEDGER, ledger, None)])
    assert set(bob.fetch().refs) == {TWO}


def test_only_the_ledger_and_the_outboxes_are_fetched(world: World) -> None:
    store = world.store()
    tip = commit(store, "tip")
    others = ["refs/heads/main", f"{LEDGER}-other", f"{LEDGER}-for", "refs/tags/x"]
    store.push([Update(ref, None, tip) for ref in [LEDGER, ONE, *others]])
    assert store.fetch().refs == {LEDGER: tip, ONE: tip}


def test_an_outbox_that_cannot_be_brought_stays_alone_on_the_remote_and_is_named(world: World) -> None:
    alice, mallory, bob = world.store(), world.store(), world.store()
    ledger, good, bad = commit(alice, "ledger"), commit(alice, "good"), commit(mallory, "bad")
    alice.push([Update(LEDGER, None, ledger), Update(ONE, None, good)])
    push(mallory, TWO, None, bad)
    world.spoil(mallory.tree(mallory.commit(bad).tree)["events.log"].oid)
    for _ in range(2):
        found = bob.fetch(newcomer=True)
        assert found.refs == {LEDGER: ledger, ONE: good, TWO: bad} and set(found.left) == {TWO}
        assert bob.commit(ledger).message == "ledger" and bob.commit(good).message == "good"
    newer = commit(alice, "newer")
    push(alice, ONE, good, newer)
    found = bob.fetch(first={"one"})  # where others may wait after that, one that is known does not
    assert found.refs[ONE] == newer and bob.commit(newer).message == "newer" and set(found.left) == {TWO}


def test_an_outbox_that_was_brought_before_is_there_while_its_newest_state_cannot_be(world: World) -> None:
    alice, bob = world.store(), world.store()
    before, bad = commit(alice, "before"), commit(alice, "bad")
    push(alice, ONE, None, before)
    bob.fetch()
    push(alice, ONE, before, bad)
    world.spoil(alice.commit(bad).tree)
    found = bob.fetch()
    assert found.refs == {ONE: bad} and set(found.left) == {ONE} and bob.commit(before).message == "before"
    assert push(bob, ONE, bad, commit(bob, "over it")) is PushOutcome.ACCEPTED
    assert not bob.fetch().left


def test_refs_that_can_be_no_outbox_by_their_names_are_passed_over(world: World) -> None:
    store, reader = world.store(), world.store()
    tip = commit(store, "tip")
    odd = [
        f"{TWO}/below",
        f"{NODES}/Three",
        f"{NODES}/-dash",
        f"{NODES}/zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf",
        f"{NODES}/{'x' * 42}",
        f"{NODES}/a.b",
        f"{NODES}/x/y/z",
    ]
    store.push([Update(ref, None, tip) for ref in [LEDGER, ONE, *odd]])
    for _ in range(2):
        found = reader.fetch()
        assert found.refs == {LEDGER: tip, ONE: tip} and set(found.strays) == set(odd) and not found.left
    assert (
        store.push([Update(f"{TWO}/below", found.strays[f"{TWO}/below"], None)])[f"{TWO}/below"].outcome
        is PushOutcome.ACCEPTED
    )
    assert push(store, TWO, None, commit(store, "outbox")) is PushOutcome.ACCEPTED
    assert reader.fetch().refs == {LEDGER: tip, ONE: tip, TWO: commit(store, "outbox")}


def test_so_many_outboxes_are_fetched_and_those_that_matter_come_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OUTBOXES_MAX", 3)
    store, reader = world.store(), world.store()
    tips = {f"{NODES}/n{number}": commit(store, f"tip {number}") for number in range(6)}
    store.push([Update(LEDGER, None, tips[f"{NODES}/n0"]), *(Update(ref, None, oid) for ref, oid in tips.items())])
    for _ in range(2):
        found = reader.fetch(first={"n5", "n3"})
        assert set(found.refs) == {LEDGER, *(f"{NODES}/n{number}" for number in (0, 3, 5))}
        assert set(found.left) == {f"{NODES}/n{number}" for number in (1, 2, 4)}
        assert all(reader.commit(oid) for oid in found.refs.values())


def test_an_unreachable_remote_is_said_to_be_so(world: World) -> None:
    store = world.store()
    tip = commit(store, "tip")
    world.down()
    with pytest.raises(Unreachable):
        store.fetch()
    assert push(store, ONE, None, tip) is PushOutcome.UNREACHABLE


def test_pushing_what_is_not_here_is_corrupt(world: World) -> None:
    with pytest.raises(Corrupt):
        world.store().push([Update(ONE, None, ABSENT)])


def test_git_finds_nothing_wrong_with_what_was_pushed(tmp_path: Path) -> None:
    bare = tmp_path / "fleet.git"
    make_bare_remote(bare)
    with ExitStack() as stack:
        store = git_world(stack, tmp_path, str(bare), bare, lambda: None).store()
        folder = store.put_tree({"0001.log": TreeEntry(store.put_blob(b"x"))})
        tree = store.put_tree({"a": TreeEntry(folder, is_tree=True), "a.b": TreeEntry(store.put_blob(b"y"))})
        tip = store.put_commit(tree=tree, parents=[], message="m\n", author=" <a>.. ", time_s=5)
        assert push(store, LEDGER, None, tip) is PushOutcome.ACCEPTED
    checked = subprocess.run(
        ["git", "-C", str(bare), "fsck", "--strict", "--full"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")
