"""Bad days of a real HTTP remote: away, slow, failing, cutting the line. Nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http_remote import HttpRemote, is_any, is_fetch, is_push
from tests.system.fleet import Clone, Fleet
from tests.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpRemote]:
    with HttpRemote(tmp_path / "server", token="secret") as server:
        server.make()
        yield server


@pytest.fixture
def web(server: HttpRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("GITCOORD_TOKEN", "secret")
    with Fleet(tmp_path / "fleet", server.url()) as fleet:
        yield fleet


def contents(clone: Clone, type_: str) -> list[str]:
    return [json.loads(line)["content"] for line in clone.lines() if json.loads(line)["type"] == type_]


def test_an_outage_is_a_queue_that_drains_late_and_is_told_once(server: HttpRemote, web: Fleet) -> None:
    alice, bob = web.clone("alice"), web.clone("bob")
    run = alice.start()
    run.wait_for("leader", "(here)")
    with server.outage():
        run.wait_for("offline", "events are queued")
        for number in range(3):
            said = alice.append("note", f"number {number}")
            assert said["level"] == "queued" and said["position"] is None
        assert alice.run("append", "note", "number 3", "--wait", "durable", "--timeout", "1", code=4).stdout
        status = alice.json("status")
        assert status["online"] is False and status["queue"]["events"] == 5  # and the error
        begun = rounds(alice)
        wait_until(lambda: rounds(alice) >= begun + 3, what="three more tries")
    run.wait_for("online", "online again")
    wait_until(lambda: alice.json("status")["queue"]["events"] == 0, what="the queue to drain")
    assert contents(bob, "note") == [f"number {number}" for number in range(4)]
    [error] = contents(bob, "error")
    assert error.startswith("offline after 5 retries")
    assert (len(run.said("offline")), len(run.said("online"))) == (1, 1)
    assert run.terminate() == 0


def rounds(clone: Clone) -> int:
    return int(json.loads((clone.home / "progress.json").read_text())["rounds"])


@pytest.mark.parametrize("status", [429, 500, 502])
def test_a_server_that_fails_for_a_while_is_asked_again(server: HttpRemote, web: Fleet, status: int) -> None:
    alice = web.clone("alice")
    with server.respond(status, times=3):
        alice.append("note", "in spite of all", "--wait", "sequenced")
    with server.respond(status, times=2, when=is_push):
        alice.append("note", "at last", "--wait", "sequenced")
    assert contents(alice, "note") == ["in spite of all", "at last"]


@pytest.mark.parametrize("applied", [False, True], ids=["before it was applied", "after it was applied"])
@pytest.mark.parametrize("after_bytes", [0, 40])
def test_a_line_cut_in_mid_push_loses_and_doubles_nothing(
    server: HttpRemote, web: Fleet, applied: bool, after_bytes: int
) -> None:
    alice, bob = web.clone("alice"), web.clone("bob")
    for number in range(2):
        with server.cut(after_bytes, applied=applied) as cut:
            assert alice.append("note", f"number {number}", "--wait", "sequenced")["level"] == "sequenced"
        assert cut.hits == 1
    assert contents(bob, "note") == ["number 0", "number 1"]
    seqs = Counter((json.loads(line)["node"], json.loads(line).get("seq")) for line in bob.lines())
    assert max(seqs.values()) == 1


def test_no_answer_in_time_is_decided_by_a_fetch(server: HttpRemote, web: Fleet) -> None:
    alice = web.clone("alice")
    for applied in (True, False):
        with server.hold(applied=applied) as held:
            alice.run(
                "append", "note", f"applied {applied}", "--wait", "sequenced", environment={"GITCOORD_TIMEOUT_S": "2"}
            )
            assert held.hits == 1
    assert contents(alice, "note") == ["applied True", "applied False"]


def test_a_slow_remote_is_slow_and_nothing_else(server: HttpRemote, web: Fleet) -> None:
    alice = web.clone("alice")
    run = alice.start()
    run.wait_for("leader", "(here)")
    with server.delay(0.4, when=is_push):
        for number in range(3):
            assert alice.append("note", f"number {number}", "--wait", "sequenced")["level"] == "sequenced"
    assert run.said("offline") == [] and [text for text in run.said("leader") if "term 2" in text] == []


def test_wrong_credentials_at_the_start_halt(server: HttpRemote, web: Fleet) -> None:
    alice = web.clone("alice")
    for words in (("agent", "run"), ("sync",)):
        done = alice.run(*words, code=5, environment={"GITCOORD_TOKEN": "wrong"})
        assert "credentials" in done.stderr and "Traceback" not in done.stderr and "wrong" not in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 2
    bob = web.clone("bob", code=5, GITCOORD_TOKEN="wrong")
    assert not (bob.home / "config.json").exists()
    said = alice.run("append", "note", "kept", "--json", environment={"GITCOORD_TOKEN": "wrong"}, code=None)
    assert json.loads(said.stdout)["level"] == "queued"
    alice.run("sync")
    assert contents(alice, "note") == ["kept"]


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_end_are_told_once_and_it_goes_on_when_they_are_back(
    server: HttpRemote, web: Fleet, status: int
) -> None:
    alice = web.clone("alice")
    run = alice.start()
    run.wait_for("leader", "(here)")
    kind = "credentials" if status == 401 else "refused"
    with server.respond(status, times=None, when=is_any) as fault:
        run.wait_for(kind)
        said = json.loads(alice.run("append", "note", "kept", "--json", code=None).stdout)
        assert said["level"] == "queued"
        seen = fault.hits
        wait_until(lambda: fault.hits >= seen + 4, what="more tries")
    run.wait_for("resumed")
    wait_until(lambda: alice.json("status")["queue"]["events"] == 0, what="the queue to drain")
    assert contents(alice, "note") == ["kept"]
    assert len(run.said(kind)) == 1
    assert run.terminate() == 0
    assert "secret" not in run.log.read_text() + run.complaint()


def test_beside_an_agent_a_command_does_not_sync_on_its_own(server: HttpRemote, web: Fleet) -> None:
    alice = web.clone("alice")
    run = alice.start("--profile", "github")  # it polls every 15 s
    run.wait_for("leader", "(here)")
    # What another process queues is sequenced long before the next poll: the queue itself is watched.
    assert alice.append("note", "quick", "--wait", "sequenced", "--timeout", "12")["level"] == "sequenced"
    os.kill(run.pid, signal.SIGSTOP)
    try:
        before = len(server.requests())
        alice.run("append", "note", "alone", "--wait", "durable", "--timeout", "1", code=4)
        assert len(server.requests()) == before
    finally:
        os.kill(run.pid, signal.SIGCONT)
    wait_until(lambda: "alone" in contents(alice, "note"), what="the agent to take it along")


def test_an_idle_agent_asks_at_its_pace_and_pushes_its_beats_only(server: HttpRemote, web: Fleet) -> None:
    alice = web.clone("alice")
    run = alice.start()
    run.wait_for("leader", "(here)")
    begun = len(server.requests(is_fetch))
    pushed = len(server.requests(is_push))
    wait_until(lambda: len(server.requests(is_fetch)) >= begun + 20, what="ten polls")
    assert run.process.poll() is None
    # A heartbeat a second, a poll every half: no more pushes than polls, whatever the machine's pace.
    assert len(server.requests(is_push)) - pushed <= (len(server.requests(is_fetch)) - begun) / 2
