"""Places: a second session of an agent, in another place, binds nothing; in the same place two share."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator

import pytest

from gitcoord.core.errors import Refused
from gitcoord.node.node import Node, open_node
from gitcoord.node.operations import places
from tests.cli.clones import Clone
from tests.cli.conftest import alice, bob, pair
from tests.cli.test_hook import run, write

__all__ = ["alice", "bob", "pair"]


@pytest.fixture
def linked(alice: Clone) -> Clone:
    """A linked work tree of alice's clone."""
    write(alice.path, "README.md")
    run(alice.path, "commit", "-m", "first")
    folder = alice.path.with_name("second")
    run(alice.path, "worktree", "add", "-q", str(folder))
    return Clone(folder, alice.remote, "alice")


@contextlib.contextmanager
def session(clone: Clone) -> Iterator[Node]:
    with open_node(clone.path) as node:
        with places.held(node.home, "alice", node_id=node.disk.node, place=node.place):
            yield node


def test_what_binds_is_refused_in_another_place_while_a_session_lives(alice: Clone, linked: Clone) -> None:
    alice("task", "create", "parser")
    with session(linked):
        for words in (["reserve", "docs"], ["task", "claim", "2"], ["next", "--claim"]):
            told = alice(*words, code=2).err
            assert "alice is at work in another place: node " in told and "in the work tree second since" in told
            assert "--takeover" in told and "{worktree}" in told
        linked("task", "claim", "2")  # the same place shares
        linked("task", "progress", "2", "0.5")
        alice("task", "finish", "2", "--takeover")
        alice("message", "send", "hello", "--to", "alice")  # binds nobody
        alice("reserve", "src", GITCOORD_TASK_ID="x", GITCOORD_AGENT="alice")  # the command of a task of the session
    alice("reserve", "docs")


def test_of_two_sessions_the_first_goes_on_and_a_killed_one_counts_no_more(alice: Clone, linked: Clone) -> None:
    with session(linked) as first, session(alice) as second:
        assert [*places.elsewhere(first, "alice")] == []
        assert [one.place for one in places.elsewhere(second, "alice")] == ["second"]
        with pytest.raises(Refused, match="in the work tree second"):
            places.check(second, "ALICE")
    left = alice.home / "heartbeats" / "alice.99999999.place"
    left.write_text(json.dumps({"agent": "alice", "node": "n", "place": "third", "since": "2020-01-01T00:00:00.000Z"}))
    with alice.node() as node:
        places.check(node, "alice")
    with session(alice):
        assert not left.exists()


def test_a_session_on_another_node_counts_while_its_heartbeats_come(alice: Clone, bob: Clone) -> None:
    for key in (alice.home / "keys").glob("alice*"):
        shutil.copy2(key, bob.home / "keys")
    heartbeats = bob.home / "cache" / "heartbeats.json"
    running = alice.start("agent", "run", "--quiet")
    try:
        while not any(one["agent"] == "alice" for one in json.loads(heartbeats.read_text())["seen"]):
            bob("sync")
        assert "alice is at work in another place: node " in bob("reserve", "docs", "--as", "alice", code=2).err
        bob("reserve", "docs", "--as", "alice", "--takeover")
    finally:
        running.terminate()
        running.communicate(timeout=60)
    bob("reserve", "src", "--as", "alice")  # it said goodbye
