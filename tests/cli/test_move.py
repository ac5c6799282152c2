"""A node goes where its fleet moved if a person, or its own setting, says so; and only to this fleet's ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gitcoord.core.errors import Moved, Refused
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.node.membership import move
from gitcoord.node.node import open_node
from gitcoord.node.remotes import relocation
from gitcoord.node.remotes.old_remote import OldRemote
from gitcoord.store.git.local_repo import make_bare_remote
from tests.cli.clones import Clone
from tests.waiting import wait_until


def moved(alice: Clone, remote: Path) -> None:
    make_bare_remote(remote)
    alice("move", str(remote))


def test_a_node_follows_by_itself_only_if_it_may_and_no_token_goes_elsewhere(
    alice: Clone, bob: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(alice, tmp_path / "new.git")
    assert "if that is right" in bob("append", "note", "x", "--wait", "sequenced", code=1).err.lower()
    told = bob("status", "--json").json()
    assert told["moves_to"] == str(tmp_path / "new.git") and "move --follow" in told["attention"][0]
    assert "the fleet moved to" in bob("doctor", code=1).out
    assert bob("task", "list").code == 0  # what was known can be read
    newcomer = Clone(tmp_path / "newcomer", bob.remote, "zed")
    newcomer.path.mkdir()
    assert "moved the fleet to" in newcomer("init", "--agent", "zed", "--remote", str(bob.remote), code=1).err
    assert [one.name for one in newcomer.home.iterdir()] == ["init.lock"]
    bob("config", "set", "follow_moves", "true", "--node")
    with open_node(bob.path) as node:
        monkeypatch.setenv("GITCOORD_TOKEN", "t")
        there = "https://elsewhere.example/r.git"
        assert "token" in relocation._risk(node, there) and not relocation._risk(node, "/srv/r.git")
        monkeypatch.delenv("GITCOORD_TOKEN")
        assert not relocation._risk(node, there)
        assert not relocation.sends_token(there, there)
        monkeypatch.setenv("GITCOORD_REMOTE", str(bob.remote))
        with pytest.raises(Moved, match="GITCOORD_REMOTE names the remote here"):
            node.sync()
        monkeypatch.delenv("GITCOORD_REMOTE")
        node.sync()
        assert node.config.remote == str(tmp_path / "new.git") and not node.fleet.moves.under_way
        assert not node.disk.pending() or node.sync()
    events = [row["event"] for row in alice("events", "--json").rows()]
    assert [event["content"] for event in events if event["type"] == "note"] == ["x"]


def test_a_remote_with_another_fleets_ledger_is_not_followed_and_not_overwritten(
    alice: Clone, bob: Clone, tmp_path: Path
) -> None:
    other = tmp_path / "other.git"
    make_bare_remote(other)
    stranger = Clone(tmp_path / "stranger", other, "eve")
    stranger.path.mkdir()
    stranger("init", "--agent", "eve", "--remote", str(other))
    theirs = (other / "refs" / "heads" / "gitcoord" / "ledger").read_text()
    assert "has the ledger of fleet" in alice("move", str(other), code=2).err
    with open_node(alice.path) as node:
        node.sync()
        assert not node.fleet.moves.uid  # nothing was ended
    moved(alice, tmp_path / "new.git")
    assert "has the ledger of fleet" in bob("move", "--follow", str(other), code=2).err
    assert "does not have this fleet's ledger yet" in bob("move", "--follow", str(make(tmp_path)), code=2).err
    assert (other / "refs" / "heads" / "gitcoord" / "ledger").read_text() == theirs
    bob("move", "--follow")
    assert bob("move", "--follow", code=2).err.startswith("gitcoord: no move is known here")
    assert alice("move", str(tmp_path / "new.git"), code=2).err.startswith("gitcoord: the fleet is at")


def make(folder: Path) -> Path:
    make_bare_remote(folder / "empty.git")
    return folder / "empty.git"


def test_a_remote_that_takes_no_such_refs_is_refused_before_anything_ended(alice: Clone, tmp_path: Path) -> None:
    remote = tmp_path / "new.git"
    make_bare_remote(remote)
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngrep -q refs/gitcoord && echo 'branches only' && exit 1\nexit 0\n")
    hook.chmod(0o755)
    said = alice("move", str(remote), code=1).err
    assert "takes no refs below refs/gitcoord" in said and "branches only" in said
    with open_node(alice.path) as node, pytest.raises(Refused, match="is no address"):
        move.planned(node, "ext::sh", actor="alice")
    assert alice("append", "note", "still here", "--wait", "sequenced").code == 0


def test_a_process_that_was_there_before_goes_along_and_so_does_what_is_left_at_the_old_remote(
    alice: Clone, bob: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, said = tmp_path / "new.git", list[str]()
    with open_node(alice.path) as before:
        before.sync()
        moved(alice, new)
        before.sync()
        assert before.config.remote == str(new) and before.fleet.moves.to == str(new)
    bob("append", "note", "from a disk that is lost", "--wait", "durable", code=1)  # in its outbox at the old remote
    shutil.rmtree(bob.path)
    with open_node(alice.path) as node:
        part = OldRemote(node, say=lambda kind, text: said.append(f"{kind}: {text}"))
        for now_s in (1000.0, 5000.0):
            with monkeypatch.context() as here:
                here.setattr(LocalSessions, "leading", lambda self, terms: self)  # a leader is here
                part.step(now_s)
                wait_until(lambda: part.is_due(0.0), what="the look at the old remote")
                part.step(now_s)
            assert said == ["carried: 1 event left at the old remote: offered again here"]  # once
            node.sync()
    events = [row["event"] for row in alice("events", "--json").rows()]
    assert [event["content"] for event in events if event["type"] == "note"] == ["from a disk that is lost"]
    assert alice("verify").code == 0


def test_an_admin_keeps_a_fleet_that_somebody_began_to_move_and_no_other_member_does(
    alice: Clone, bob: Clone, tmp_path: Path
) -> None:
    assert "no move is under way" in alice("move", "--cancel", code=2).err
    with open_node(alice.path) as node:  # as whoever has stolen the key
        data = {"to": "https://nowhere.invalid/r.git", "profile": "lan"}
        [event] = node.append(node.draft("fleet_moved", "away", actor="alice", data=data))
        with pytest.raises(Moved):
            node.confirm(event, "sequenced", timeout_s=10)
    assert "only an admin may" in bob("move", "--cancel", code=2).err
    assert "cannot be seen" in alice("move", "--cancel", code=2).err
    assert "the fleet stays at" in alice("move", "--cancel", "--force").out
    bob("append", "note", "goes on", "--wait", "sequenced")
    assert bob("status", "--json").json()["moves_to"] is None
