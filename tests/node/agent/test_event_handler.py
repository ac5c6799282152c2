"""Reactions in virtual time: retries, their pace, and what survives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import gitcoord
from gitcoord.core.format.event import Event
from gitcoord.core.names import uid_from
from gitcoord.node.agent.event_handler import ATTEMPTS, COMMAND_S_MAX, RETRY_S, EventHandler
from gitcoord.node.node import Node
from gitcoord.store import files
from gitcoord.store.home.dead_letters import DeadLetters
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


def handler(node: Node, command: str, said: list[str] | None = None, *, reply: bool = False) -> EventHandler:
    words = said if said is not None else []
    return EventHandler(node, "bob", command, reply=reply, say=lambda kind, text: words.append(f"{kind}: {text}"))


def step_to_end(one: EventHandler, now_s: float) -> None:
    """Start the next command and look after it until it has ended and that is noted."""
    assert one.step(now_s)
    wait_until(lambda: not one.busy or one.step(now_s), what="the command to end")


def step_through(one: EventHandler, now_s: float, attempts: int) -> float:
    """Let an event fail so often; when that was over."""
    for number in range(attempts):
        assert one.is_due(now_s) or not number
        step_to_end(one, now_s)
        wait_s = min(RETRY_S[0] * 2**number, RETRY_S[1]) if number < attempts - 1 else 0.0
        if wait_s:
            assert not one.step(now_s + wait_s - 0.01) and not one.is_due(now_s + wait_s - 0.01)
        now_s += wait_s
    return now_s


def test_an_event_that_fails_again_and_again_is_set_aside_and_the_next_one_has_its_turn(
    node: Node, tmp_path: Path
) -> None:
    said: list[str] = []
    bad, good = ask(node, "bad"), ask(node, "good")
    one = handler(node, f"grep -q bad && exit 3; echo $GITCOORD_EVENT_ID >> {tmp_path}/seen", said)
    now = step_through(one, 1000.0, ATTEMPTS)
    assert json.loads(one.path.read_text())["event"] == bad.uid  # the checkpoint is past it
    step_to_end(one, now)
    assert (tmp_path / "seen").read_text().split() == [good.uid] and not one.step(now)
    [letter] = one.letters.all()
    assert (letter.event, letter.attempts, letter.reason, letter.author) == (bad.uid, ATTEMPTS, "ended with 3", "alice")
    [error] = [event for event in node.disk.pending() if event.type == "error"]
    assert error.re == bad.uid and "ended with 3, 5 times in a row; it is set aside" in error.content
    assert [words.split(":")[0] for words in said] == ["handler_failed"] * ATTEMPTS + ["set_aside"]


def test_attempts_are_counted_over_restarts_and_as_many_as_asked_for(node: Node) -> None:
    ask(node, "bad")
    for number in range(3):
        one = EventHandler(node, "bob", "exit 3", reply=False, say=lambda kind, text: None, attempts=3)
        assert not one.letters.all()
        step_to_end(one, 0.0)
    assert [letter.attempts for letter in one.letters.all()] == [3] and not one.step(0.0)


def test_many_dead_letters_are_few_error_events(node: Node) -> None:
    for number in range(4):
        ask(node, f"bad {number}")
    one = EventHandler(node, "bob", "exit 3", reply=False, say=lambda kind, text: None, attempts=1)
    for _ in range(4):
        step_to_end(one, 1000.0)
    assert len(one.letters.all()) == 4
    assert len([event for event in node.disk.pending() if event.type == "error"]) == 1


def test_a_dead_letter_is_handled_again_when_asked_and_goes_when_that_went_well(node: Node, tmp_path: Path) -> None:
    bad = ask(node, "bad")
    one = EventHandler(
        node,
        "bob",
        f"test -e {tmp_path}/mended && echo $GITCOORD_EVENT_ID >> {tmp_path}/seen",
        reply=False,
        say=lambda kind, text: None,
        attempts=2,
    )
    step_to_end(one, 0.0)
    step_to_end(one, 10.0)
    new = ask(node, "new")
    others = DeadLetters(node.home.path, "BOB")  # of another process
    assert [letter.event for letter in others.replay(bad.uid[:8])] == [bad.uid] and one.is_due(20.0)
    step_to_end(one, 20.0)
    step_to_end(one, 30.0)
    assert [letter.replay for letter in others.all()] == [False]  # as often again
    (tmp_path / "mended").touch()
    others.replay()
    step_to_end(one, 40.0)
    assert others.all() == [] and others.replay() == []
    step_to_end(one, 40.0)
    assert (tmp_path / "seen").read_text().split() == [bad.uid, new.uid] and not one.step(40.0)
    assert json.loads(one.path.read_text())["event"] == new.uid


def test_an_event_whose_bytes_no_command_can_be_given_is_set_aside(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(node, "bad")
    good = ask(node, "good")
    one = EventHandler(
        node, "bob", f"echo $GITCOORD_EVENT_ID >> {tmp_path}/seen", reply=False, say=lambda kind, text: None, attempts=1
    )
    monkeypatch.setattr("gitcoord.node.agent.event_handler.UserCommand", overflows)
    assert one.step(0.0) and not one.busy
    monkeypatch.undo()
    step_to_end(one, 0.0)
    assert (tmp_path / "seen").read_text().split() == [good.uid]
    assert "OverflowError" in one.letters.all()[0].reason


def overflows(*args: object, **more: object) -> None:
    raise OverflowError("too large")


def test_the_checkpoint_moves_with_each_event_and_a_new_run_goes_on_after_it(node: Node, tmp_path: Path) -> None:
    first, second = ask(node, "one"), ask(node, "two")
    one = handler(node, f"echo $GITCOORD_EVENT_ID >> {tmp_path}/seen")
    step_to_end(one, 0.0)
    assert json.loads(one.path.read_text())["event"] == first.uid
    other = handler(node, f"echo $GITCOORD_EVENT_ID >> {tmp_path}/seen")
    step_to_end(other, 0.0)
    assert not other.step(0.0)
    assert (tmp_path / "seen").read_text().split() == [first.uid, second.uid]


def test_a_damaged_checkpoint_is_told_and_begins_anew(node: Node) -> None:
    ask(node, "one")
    said: list[str] = []
    node.home.checkpoint_path("bob").write_text("{")
    assert handler(node, "true", said).position == 0
    assert "cannot be read" in said[0]


def test_what_a_command_did_is_not_done_again_because_the_disk_refused_to_note_it(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(node, "one")
    one = handler(node, f"echo done >> {tmp_path}/seen")
    assert one.step(0.0)
    files.note(node.home.path, "no space left")
    monkeypatch.setattr("gitcoord.node.agent.event_handler.write_durably", refuse)
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
    one = handler(node, "true", said)
    assert one.step(0.0) and not one.busy
    assert "could not be started" in said[0]


def test_a_command_has_an_hour(node: Node) -> None:
    ask(node, "one")
    said: list[str] = []
    one = handler(node, "sleep 1000", said)
    assert one.step(0.0) and not one.step(COMMAND_S_MAX)
    assert one.step(COMMAND_S_MAX + 1) and not one.busy
    assert "did not end in 3600 s" in said[0]


def test_only_what_counts_and_is_addressed_to_the_agent_is_handled(node: Node) -> None:
    node.append(
        node.draft("question", "to carol", actor="alice", to=["carol"]),
        node.draft("question", 'says "bob" only', actor="alice"),
        node.draft("question", "of nobody's", actor="alice", to=["bob"], term=7),
    )  # void: no such term
    node.sync()
    one = handler(node, "true")
    assert not one.step(0.0)
    assert one.position == node.fleet.position


def test_an_answer_cannot_be_taken_away_before_it_is_given(node: Node) -> None:
    """What its nonce will be can be computed by everybody: it is worth nothing to anybody else."""
    asked = ask(node, "who?")
    nonce = uid_from(hashlib.sha256(f"answer {asked.uid} bob".encode()).digest())
    [early] = node.append(node.draft("note", "taken", actor="alice", uid=nonce))
    node.sync()
    step_to_end(handler(node, "echo I do", reply=True), 0.0)
    node.sync()
    [answer] = [event for _, event in node.events() if event.type == "answer"]
    assert answer.nonce == early.nonce and {answer.uid, early.uid} <= node.fleet.positions.keys()
