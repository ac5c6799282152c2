"""Bad days on real git: what the protocol's tests say in memory holds for homes on a disk and a bare repository."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.core.errors import ForeignLedger, GitcoordError, Refused
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Head, seal
from gitcoord.core.format.keys import Ed25519Signer, Verifier
from gitcoord.core.format.vouches import vouch
from gitcoord.core.limits import LOOK_BACK_COMMITS
from gitcoord.core.round.replica import advance_to
from gitcoord.core.round.sight import DAY_S, Sight
from gitcoord.features import FEATURES
from gitcoord.node.clock import new_uid, utc_now
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node, open_node
from tests.cli.clones import gitcoord

LEDGER = "refs/heads/gitcoord/ledger"


class Clones:
    """Clones of one bare repository, and the days that they have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        subprocess.run(["git", "init", "-q", "--bare", str(self.remote)], check=True)
        self.open: dict[str, Node] = {}
        self.told: dict[str, list[str]] = {}

    def join(self, name: str, auth: str = "ed25519") -> Node:
        init(self.folder / name, InitRequest(agent=name, remote=str(self.remote), auth=auth)).node.close()
        return self.reopen(name)

    def reopen(self, name: str) -> Node:
        if name in self.open:
            self.open.pop(name).close()
        told = self.told.setdefault(name, [])
        node = self.open[name] = open_node(self.folder / name, tell=lambda kind, text: told.append(kind))
        node.pause = lambda seconds: None
        return node

    def say(self, name: str, content: str) -> None:
        node = self.open[name]
        node.append(node.draft("note", content, actor=node.config.agent or name))

    def settle(self, rounds: int = 3) -> None:
        for _ in range(rounds):
            for node in self.open.values():
                node.sync()

    def git(self, *args: str, data: bytes | None = None) -> str:
        done = subprocess.run(["git", "-C", str(self.remote), *args], input=data, capture_output=True, check=True)
        return done.stdout.decode("utf-8", "replace").strip()

    def tip(self) -> str:
        return self.git("rev-parse", LEDGER)

    def by_hand(self, log: bytes, *, parent: str | None = None) -> None:
        """Put `log` in the place of events-0000000000.log, as a person with git can."""
        blob = self.git("hash-object", "-w", "--stdin", data=log)
        tree = self.git("mktree", data=f"100644 blob {blob}\tevents-0000000000.log\n".encode())
        who = ["-c", "user.name=m", "-c", "user.email=m@example.invalid"]
        commit = self.git(*who, "commit-tree", tree, "-p", parent or self.tip(), "-m", "by hand")
        self.git("update-ref", LEDGER, commit)

    def log(self) -> bytes:
        done = subprocess.run(
            ["git", "-C", str(self.remote), "show", f"{LEDGER}:events-0000000000.log"], capture_output=True, check=True
        )
        return done.stdout

    def notes(self) -> list[str]:
        node = next(iter(self.open.values()))
        positions = node.fleet.positions
        return [e.content for n, e in node.events() if e.type == "note" and positions.get(e.uid) == n]

    def agree(self) -> None:
        node = next(iter(self.open.values()))
        newcomer = node.ledger.open()
        newcomer.branch = newcomer.fresh()
        advance_to(newcomer, self.tip())
        for one in self.open.values():
            assert one.fleet.dump() == newcomer.branch.fleet.dump()
            assert not one.disk.pending() and not one.disk.orphans


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[Clones]:
    clones = Clones(tmp_path)
    for name in ("one", "other"):
        clones.join(name)
    clones.settle(2)
    yield clones
    for node in clones.open.values():
        node.close()


def test_lines_put_there_by_hand_are_named_and_mended(clones: Clones) -> None:
    good = clones.log()
    clones.by_hand(good + b"not an event\n" + bytes(range(128, 200)) + b"\n")
    clones.settle(1)
    assert clones.told["one"].count("bad_line") == clones.told["other"].count("bad_line") == 2
    errors = (clones.open["one"].home.path / "events.error.log").read_text()
    assert "events-0000000000.log:" in errors and "in commit" in errors
    clones.say("one", "after")
    clones.settle()
    assert clones.log().startswith(good) and b"not an event" not in clones.log()
    clones.agree()


def test_odd_entries_in_the_tree_do_not_stop_anybody(clones: Clones) -> None:
    root = clones.git("rev-parse", f"{LEDGER}^{{tree}}")
    listing = subprocess.run(["git", "-C", str(clones.remote), "ls-tree", "-z", root], capture_output=True, check=True)
    blob = clones.git("hash-object", "-w", "--stdin", data=b"target")
    odd = (
        f"120000 blob {blob}\tlink\0160000 commit {'1' * 40}\tsubmodule\0100755 blob {blob}\trun.sh\0"
        f"100644 blob {blob}\tsmile \u263a\nnewline\0"
    ).encode()
    tree = clones.git("mktree", "-z", data=listing.stdout + odd)
    who = ["-c", "user.name=m", "-c", "user.email=m@example.invalid"]
    commit = clones.git(*who, "commit-tree", tree, "-p", clones.tip(), "-m", "odd")
    clones.git("update-ref", LEDGER, commit)
    clones.say("one", "still here")
    clones.settle()
    assert clones.notes() == ["still here"]
    clones.agree()


def test_a_ledger_forced_back_is_pushed_back(clones: Clones) -> None:
    old = clones.tip()
    clones.say("one", "a")
    clones.settle()
    clones.git("update-ref", LEDGER, old)
    clones.reopen("other")
    clones.settle()
    assert "rollback" in clones.told["one"] + clones.told["other"]
    assert clones.notes() == ["a"]
    clones.agree()


def test_a_ledger_replaced_by_a_fork_gets_every_vanished_line_back(clones: Clones) -> None:
    third = clones.join("third")
    clones.settle(2)
    old = clones.tip()
    clones.say("one", "vanishes")
    clones.open["one"].sync()
    clones.open["other"].sync()
    clones.git("update-ref", LEDGER, old)
    for ref in clones.git("for-each-ref", "--format=%(refname)", "refs/gitcoord/nodes/").split():
        clones.git("update-ref", "-d", ref)
    clones.say("third", "elsewhere")
    third.sync()  # it was away meanwhile, and goes on from what it finds
    assert b"elsewhere" in clones.log() and b"vanishes" not in clones.log()
    clones.settle(4)
    assert "fork" in clones.told["one"]
    assert sorted(clones.notes()) == ["elsewhere", "vanishes"]
    assert clones.open["one"].store.kept("forks/")
    clones.agree()


def lay_another_fleets(clones: Clones) -> None:
    """Lay another fleet's ledger on the branch, by force."""
    strange = Clones(clones.folder / "strange")
    strange.join("stranger").close()
    subprocess.run(
        ["git", "-C", str(clones.remote), "fetch", "-q", str(strange.remote), f"+{LEDGER}:{LEDGER}"], check=True
    )


def lay_rubbish(clones: Clones, *, name: str = "") -> None:
    """Lay a commit on the branch that is no ledger: an empty tree, or one file."""
    blob = clones.git("hash-object", "-w", "--stdin", data=b"print('hello')\n")
    tree = clones.git("mktree", data=f"100644 blob {blob}\t{name}\n".encode() if name else b"")
    who = ["-c", "user.name=m", "-c", "user.email=m@example.invalid"]
    clones.git("update-ref", LEDGER, clones.git(*who, "commit-tree", tree, "-m", "rubbish"))


REPLACED = {
    "another fleet's": lay_another_fleets,
    "source code": lambda clones: lay_rubbish(clones, name="main.py"),
    "an empty tree": lay_rubbish,
    "lines that are none": lambda clones: lay_rubbish(clones, name="events-0000000000.log"),
}


@pytest.mark.parametrize("what", REPLACED)
def test_a_ledger_that_was_replaced_is_put_back_by_whoever_followed_it(clones: Clones, what: str) -> None:
    mine, before = clones.tip(), clones.log()
    REPLACED[what](clones)
    clones.say("one", "kept")
    clones.reopen("one").sync()
    assert "replaced" in clones.told["one"] and clones.log().startswith(before)
    assert "was replaced by" in (clones.open["one"].home.path / "events.error.log").read_text()
    clones.git("merge-base", "--is-ancestor", mine, clones.tip())
    clones.settle()
    assert clones.notes() == ["kept"]
    clones.agree()


def test_a_clone_that_comes_back_after_months_puts_it_back_only_if_told_to(clones: Clones) -> None:
    lay_another_fleets(clones)
    theirs, home = clones.tip(), clones.open["one"].home
    home.save_sight(Sight((home.sight.seen_s or 0) - 60 * DAY_S))
    clones.say("one", "kept")
    with pytest.raises(ForeignLedger, match="`gitcoord sync --restore`"):
        clones.open["one"].sync()
    clone = clones.folder / "one"
    refused = gitcoord(clone, "sync")
    assert refused.code == 6 and "gitcoord leave" in refused.err and clones.tip() == theirs
    assert gitcoord(clone, "sync", "--restore").code == 0
    assert clones.tip() != theirs
    clones.settle()
    assert clones.notes() == ["kept"]
    clones.agree()


def test_a_newcomer_that_has_only_the_newest_commits_loses_nothing_when_the_ledger_is_replaced(clones: Clones) -> None:
    for number in range(LOOK_BACK_COMMITS + 5):
        clones.say("one", f"number {number}")
        clones.open["one"].sync()
    late = clones.join("late")
    assert (late.home.store / "shallow").exists()
    lay_another_fleets(clones)
    clones.say("late", "kept")
    with contextlib.suppress(GitcoordError):
        late.sync()
    clones.settle()
    assert clones.notes()[-1] == "kept"
    clones.agree()


def test_a_damaged_note_of_when_the_ledger_was_seen_counts_as_none(clones: Clones) -> None:
    home = clones.open["one"].home
    assert home.sight.seen_s
    for data in (b"", b"\0\0", b"yesterday\n", b"- x\n"):
        (home.path / "sight").write_bytes(data)
        assert home.sight == Sight()
    home.save_sight(Sight(None, (5, 6)))
    assert home.sight == Sight(None, (5, 6))


@pytest.mark.parametrize("queued", [False, True])
def test_a_copied_clone_becomes_a_node_of_its_own(clones: Clones, queued: bool) -> None:
    if queued:
        clones.say("one", "queued before the copy")
    clones.open["one"].close()
    shutil.copytree(clones.folder / "one", clones.folder / "copy", symlinks=True)
    clones.reopen("one")
    clones.reopen("copy")
    assert clones.open["one"].disk.node == clones.open["copy"].disk.node
    for name in ("one", "copy"):
        clones.say(name, f"from {name}")
    clones.settle(4)
    assert clones.open["one"].disk.node != clones.open["copy"].disk.node
    assert (clones.told["one"] + clones.told["copy"]).count("identity_shared") == 1
    assert sorted(clones.notes()) == ["from copy", "from one"] + ["queued before the copy"] * queued
    clones.agree()


def test_a_home_restored_from_an_old_backup_loses_nothing(clones: Clones) -> None:
    clones.open.pop("one").close()
    shutil.copytree(clones.folder / "one", clones.folder / "backup", symlinks=True)
    clones.reopen("one")
    for word in "abc":
        clones.say("one", word)
        clones.settle(1)
    clones.open.pop("one").close()
    shutil.rmtree(clones.folder / "one")
    os.rename(clones.folder / "backup", clones.folder / "one")
    clones.reopen("one")
    clones.say("one", "after")
    clones.settle(4)
    assert clones.notes() == ["a", "b", "c", "after"]
    clones.agree()


def test_a_backup_and_a_fork_together_lose_nothing(clones: Clones) -> None:
    old = clones.tip()
    clones.open.pop("one").close()
    shutil.copytree(clones.folder / "one", clones.folder / "backup", symlinks=True)
    clones.reopen("one")
    clones.say("one", "vanishes")
    clones.settle(2)
    clones.open.pop("one").close()
    shutil.rmtree(clones.folder / "one")
    os.rename(clones.folder / "backup", clones.folder / "one")
    clones.git("update-ref", LEDGER, old)
    for ref in clones.git("for-each-ref", "--format=%(refname)", "refs/gitcoord/nodes/one*").split():
        clones.git("update-ref", "-d", ref)
    clones.reopen("one")
    clones.say("one", "in its place")
    clones.open["one"].sync()
    clones.settle(6)
    assert sorted(clones.notes()) == ["in its place", "vanishes"]
    clones.agree()


def test_a_private_store_that_was_deleted_is_fetched_again(clones: Clones) -> None:
    clones.say("one", "before")
    clones.settle(2)
    node = clones.open.pop("one")
    node.close()
    shutil.rmtree(node.home.store)
    clones.reopen("one")
    clones.say("one", "after")
    clones.settle()
    assert clones.notes() == ["before", "after"]
    clones.agree()


def test_a_home_without_its_list_of_outboxes_goes_on_as_a_new_node(clones: Clones) -> None:
    clones.say("one", "a")
    clones.settle(2)
    before = clones.open["one"].disk.node
    (clones.open["one"].home.path / "pushed").unlink()
    clones.reopen("one")
    clones.say("one", "b")
    clones.settle(4)
    assert clones.open["one"].disk.node != before
    assert clones.notes() == ["a", "b"]
    clones.agree()


def test_a_machine_born_empty_with_an_identity_goes_on_with_its_chain(
    clones: Clones, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("NODE", "box"), ("AGENT", "ci"), ("KEY", "5a" * 32)):
        monkeypatch.setenv(f"GITCOORD_{name}", value)
    init(clones.folder / "first", InitRequest(agent="ci", remote=str(clones.remote))).node.close()
    first = clones.reopen("first")
    clones.say("first", "a")
    clones.settle(2)
    clones.say("first", "b")
    first.sync()
    name = first.disk.node
    clones.open.pop("first").close()
    init(clones.folder / "born", InitRequest(agent="ci", remote=str(clones.remote))).node.close()
    born = clones.reopen("born")
    monkeypatch.delenv("GITCOORD_NODE")
    assert born.disk.node == name and name.startswith("box-")
    clones.say("born", "c")
    clones.settle()
    assert clones.notes() == ["a", "b", "c"]
    assert "identity_shared" not in clones.told["born"]
    clones.agree()


@pytest.mark.parametrize("place", ["its first", "its next"])
def test_nobody_takes_the_place_of_a_dead_machines_durable_line(clones: Clones, place: str) -> None:
    if place == "its next":
        clones.say("one", "before")
        clones.settle(1)
    hook = clones.remote / "hooks" / "update"
    hook.write_text(f"#!/bin/sh\n[ $1 != {LEDGER} ]\n")
    hook.chmod(0o755)
    dead = clones.open.pop("one")
    dead.append(dead.draft("note", "mine", actor="one"))
    with contextlib.suppress(GitcoordError):
        dead.sync()
    node, fleet, head = dead.disk.node, dead.config.fleet_id, dead.fleet.heads.get(dead.disk.node, Head())
    dead.close()
    hook.unlink()
    thief = Ed25519Signer(bytes(32))
    words = Draft("one", "note", "stolen", utc_now(), new_uid())
    for vouched in (None, vouch(thief, node, thief.key, fleet)):
        line = seal(words, node=node, after=head, signer=thief, fleet=fleet, vouch=vouched).line
        clones.by_hand(clones.log() + line + b"\n")
    clones.say("other", "takes it along")
    clones.settle(2)
    assert sorted(clones.notes()[-2:]) == ["mine", "takes it along"]
    assert clones.open["other"].fleet.heads[node].seq == head.seq + 1
    clones.agree()


def test_two_agents_of_one_clone_write_in_one_chain(clones: Clones) -> None:
    init(clones.folder / "one", InitRequest(agent="second")).node.close()
    node = clones.reopen("one")
    for actor in ("one", "second", "one"):
        node.append(node.draft("note", f"of {actor}", actor=actor))
    clones.settle(2)
    assert clones.notes() == ["of one", "of second", "of one"]
    vouched = [event.actor for _, event in node.events() if event.node == node.disk.node and event.vouch]
    assert vouched == ["second", "one"]  # the founder's first line stands outside any chain
    (node.home.path / f"{node.disk.node}.key").unlink()
    node.append(node.draft("note", "goes on", actor="second"))
    with pytest.raises(Refused, match="the key of this clone, is gone.*make a new clone"):
        init(clones.folder / "one", InitRequest(agent="third"))


def test_a_hook_that_minds_one_event_names_it_and_drop_sets_the_rest_free(clones: Clones) -> None:
    hook = clones.remote / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\nwhile read old new ref; do\n"
        'git ls-tree -r "$new" | while read mode kind oid path; do git cat-file blob $oid; done |'
        " grep -q FORBIDDEN && { echo 'we do not say that' >&2; exit 1; }\ndone\nexit 0\n"
    )
    hook.chmod(0o755)
    for word in ("fine", "FORBIDDEN", "behind"):
        clones.say("one", word)
    one = clones.open["one"]
    try:
        one.sync()
    except GitcoordError as wrong:
        raise AssertionError(wrong) from wrong
    assert "event_denied" in clones.told["one"]
    clones.settle(2)
    assert clones.notes() == ["fine"]
    [bad] = [event for event in one.disk.pending() if event.content == "FORBIDDEN"]
    one.home.queue.drop(bad.uid, signer=one.keyring.signer, fleet_id=one.config.fleet_id)
    clones.settle(3)
    assert clones.notes() == ["fine", "behind"]
    clones.agree()


def test_one_who_was_there_and_one_who_comes_now_agree_after_all_of_it(clones: Clones) -> None:
    good = clones.log()
    old = clones.tip()
    clones.say("one", "a")
    clones.settle(2)
    clones.by_hand(b"junk\n" + clones.log())
    clones.say("other", "b")
    clones.settle(2)
    clones.by_hand(b"".join(clones.log().splitlines(keepends=True)[::-1]))
    clones.say("one", "c")
    clones.settle(2)
    clones.git("update-ref", LEDGER, old)
    clones.settle(3)
    assert clones.log().startswith(good)
    assert clones.notes() == ["a", "b", "c"]
    clones.join("late")
    clones.settle(3)
    clones.agree()
    fleet = FleetState(FEATURES, Verifier())
    for line in clones.log().splitlines():
        fleet.append(line)
    assert fleet.dump() == clones.open["late"].fleet.dump()
