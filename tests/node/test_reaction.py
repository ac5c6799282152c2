"""Reactions in virtual time: retries, their pace, and what survives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import gitcoord
from gitcoord.core.event import Event
from gitcoord.core.names import uid_from
from gitcoord.node.node import Node
from gitcoord.node.reaction import COMMAND_S_MAX, RETRY_S, Reaction
from gitcoord.store import files
from tests.waiting import wait_until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with gitcoord.join(tmp_path / "alice", agent="alice") as me, gitcoord.join(tmp_path / "alice", agent="bob"):
        yield me.node


def ask(node: Node, content: str) -> Event:
    """A question to bob that is in the ledger."""
    [event] = node.append(node.draft("question", content, actor="alice", to=["BOB"]))
    node.sync()
    return event


def reaction(node: Node, command: str, said: list[str] | None = None, *, reply: bool = False) -> Reaction:
    words = said if said is not None else []
    return Reaction(node, "bob", command, reply=reply, say=lambda kind, text: words.append(f"{kind}: {text}"))


def step_to_end(one: Reaction, now_s: float) -> None:
    """Start the next command and look after it until it has ended and that is noted."""
    assert one.step(now_s)
    wait_until(lambda: not one.busy or one.step(now_s), what="the command to end")


def test_failures_double_their_distance_and_the_fifth_is_an_error_event(node: Node) -> None:
    said: list[str] = []
    asked = ask(node, "hello")
    one, now = reaction(node, "exit 3", said), 1000.0
    for number in range(8):
        step_to_end(one, now)
        wait_s = min(RETRY_S[0] * 2 ** number, RETRY_S[1])
        assert not one.step(now + wait_s - 0.01) and not one.is_due(now + wait_s - 0.01)
        now += wait_s
        assert one.is_due(now)
        errors = [event for event in node.disk.pending() if event.type == "error"]
        assert len(errors) == (1 if number >= 4 else 0)
    assert errors[0].re == asked.uid and "ended with 3, 5 times in a row" in errors[0].content
    assert len(said) == 8 and not one.path.exists()


def test_the_checkpoint_moves_with_each_event_and_a_new_run_goes_on_after_it(node: Node, tmp_path: Path) -> None:
    first, second = ask(node, "one"), ask(node, "two")
    one = reaction(node, f"echo $GITCOORD_EVENT_ID >> {tmp_path}/seen")
    step_to_end(one, 0.0)
    assert json.loads(one.path.read_text())["event"] == first.uid
    other = reaction(node, f"echo $GITCOORD_EVENT_ID >> {tmp_path}/seen")
    step_to_end(other, 0.0)
    assert not other.step(0.0)
    assert (tmp_path / "seen").read_text().split() == [first.uid, second.uid]


def test_a_damaged_checkpoint_is_told_and_begins_anew(node: Node) -> None:
    ask(node, "one")
    said: list[str] = []
    node.home.checkpoint_path("bob").write_text("{")
    assert reaction(node, "true", said).position == 0
    assert "cannot be read" in said[0]


def test_what_a_command_did_is_not_done_again_because_the_disk_refused_to_note_it(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(node, "one")
    one = reaction(node, f"echo done >> {tmp_path}/seen")
    assert one.step(0.0)
    files.note(node.home.path, "no space left")
    monkeypatch.setattr("gitcoord.node.reaction.write_durably", refuse)
    wait_until(lambda: one.is_due(0.0), what="the command to end")
    assert not one.step(0.0)
    assert one.busy and not one.is_due(0.5)
    monkeypatch.undo()
    files.resume(node.home.path)
    assert one.step(2.0)
    assert (tmp_path / "seen").read_text() == "done\n" and one.path.exists()


def refuse(path: Path, data: bytes) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_a_command_that_cannot_be_started_is_a_failure(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(node, "one")
    said: list[str] = []

    def no_processes(*args: object, **more: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", no_processes)
    one = reaction(node, "true", said)
    assert one.step(0.0) and not one.busy
    assert "could not be started" in said[0]


def test_a_command_has_an_hour(node: Node) -> None:
    ask(node, "one")
    said: list[str] = []
    one = reaction(node, "sleep 1000", said)
    assert one.step(0.0) and not one.step(COMMAND_S_MAX)
    assert one.step(COMMAND_S_MAX + 1) and not one.busy
    assert "did not end in 3600 s" in said[0]


def test_only_what_counts_and_is_addressed_to_the_agent_is_handled(node: Node) -> None:
    node.append(node.draft("question", "to carol", actor="alice", to=["carol"]),
                node.draft("question", 'says "bob" only', actor="alice"),
                node.draft("question", "of nobody's", actor="alice", to=["bob"], term=7))  # void: no such term
    node.sync()
    one = reaction(node, "true")
    assert not one.step(0.0)
    assert one.position == node.fleet.position


def test_an_answer_cannot_be_taken_away_before_it_is_given(node: Node) -> None:
    """What its nonce will be can be computed by everybody: it is worth nothing to anybody else."""
    asked = ask(node, "who?")
    nonce = uid_from(hashlib.sha256(f"answer {asked.uid} bob".encode()).digest())
    [early] = node.append(node.draft("note", "taken", actor="alice", uid=nonce))
    node.sync()
    step_to_end(reaction(node, "echo I do", reply=True), 0.0)
    node.sync()
    [answer] = [event for _, event in node.events() if event.type == "answer"]
    assert answer.nonce == early.nonce and {answer.uid, early.uid} <= node.fleet.positions.keys()
