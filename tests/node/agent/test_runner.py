"""The parts of `agent run`: stopping, seats, rounds, the shared budget."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest

import gitcoord
from gitcoord.core.errors import BadCredentials, Corrupt, GitcoordError, Lost, Refused, Unreachable
from gitcoord.core.leadership.session import Session
from gitcoord.core.round.results import Report
from gitcoord.core.round.sight import Sight
from gitcoord.node import push_budget
from gitcoord.node.agent import sessions
from gitcoord.node.agent.options import RunOptions
from gitcoord.node.agent.round_schedule import RoundSchedule
from gitcoord.node.agent.runner import Runner
from gitcoord.node.agent.sync_loop import ATTEMPTS, SyncLoop
from gitcoord.node.membership.api import Member
from gitcoord.node.node import Node
from gitcoord.node.operations import submit, wait
from gitcoord.node.shutdown import StopFlag
from gitcoord.node.tasks.worker import WorkerConfig


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        me.node.pause = lambda seconds: None
        yield me.node


def rounds_of(
    node: Node, monkeypatch: pytest.MonkeyPatch, *answers: GitcoordError | None
) -> tuple[SyncLoop, list[str]]:
    """SyncLoop whose syncs fail as listed (None: they go well), and what they say."""
    left = list(answers)
    said: list[str] = []

    def sync(**options: Any) -> Report:
        answer = left.pop(0)
        if answer is not None:
            raise answer
        return Report()

    monkeypatch.setattr(node, "sync", sync)
    return SyncLoop(node, "alice", lambda kind, text: said.append(kind), StopFlag(), RoundSchedule()), said


def test_a_remote_that_answers_at_the_fifth_retry_was_never_away(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, said = rounds_of(node, monkeypatch, *[Unreachable("gone")] * (ATTEMPTS - 1), None)
    assert rounds.one() is not None
    assert said == [] and [event for event in node.disk.pending() if event.type == "error"] == []


def test_after_five_retries_it_is_offline_says_so_once_and_probes_once_each(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, said = rounds_of(node, monkeypatch, *[Unreachable("gone")] * (ATTEMPTS + 3), None, Unreachable("again"))
    for _ in range(4):
        assert rounds.one() is None and rounds.offline and rounds.schedule.not_before_s > 0
    assert said == ["offline"]
    [error] = [event for event in node.disk.pending() if event.type == "error"]
    assert error.content == "offline after 5 retries: gone"
    assert rounds.one() is not None and rounds.schedule.not_before_s == 0.0
    assert said == ["offline", "online"]


def test_an_outage_is_one_event_however_many_agents_of_the_node_see_it(
    node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with gitcoord.join(tmp_path / "alice", agent="bob") as me:
        me.node.pause = lambda seconds: None
        me.sync()
        for agent, one in (("alice", node), ("bob", me.node)):
            rounds, said = rounds_of(one, monkeypatch, *[Unreachable(f"gone, says {agent}")] * ATTEMPTS)
            rounds.agent = agent
            assert rounds.one() is None and said == ["offline"]
    [error] = [event for event in node.disk.pending() if event.type == "error"]
    assert error.actor == "alice"


def test_what_a_person_has_to_mend_is_said_once_for_each_kind(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [
        BadCredentials("401"),
        BadCredentials("401 again"),
        Corrupt("odd"),
        Corrupt("odd"),
        None,
        BadCredentials("401"),
    ]
    rounds, said = rounds_of(node, monkeypatch, *wrong)
    for _ in wrong:
        rounds.one()
    assert said == ["credentials", "damaged", "resumed", "credentials"]
    assert node.local.watch.polled_at_s is None


def test_lost_races_are_no_trouble_to_tell_and_a_clone_outside_a_fleet_ends(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, said = rounds_of(node, monkeypatch, Lost("12 races"), Refused("no queue"))
    assert rounds.one() is None and said == []
    node.home.path.rename(node.home.path.with_name("left"))
    with pytest.raises(Refused):
        rounds.one()


def test_nothing_that_the_ledger_leads_to_ends_the_rounds(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [OverflowError("date value out of range"), Refused("an event of 70000 bytes"), KeyError("x"), None]
    rounds, said = rounds_of(node, monkeypatch, *wrong)
    for _ in wrong[:-1]:
        assert rounds.one() is None and rounds.schedule.not_before_s > 0
    assert said == ["error"]
    assert rounds.one() is not None and said == ["error", "resumed"]


def test_stop_may_be_set_by_a_signal_inside_its_own_wait() -> None:
    stop = StopFlag()
    with stop.on_signals():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert stop.wait(30.0)
        assert stop.wait(30.0) and not stop.at_once
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            stop.wait(0.0)
        assert stop.at_once


def test_a_leader_whose_machine_slept_does_not_act_on_time_long_gone(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    name = "monotonic" if clock is None else "clock_gettime"  # the one that counts sleep here
    real, slept = getattr(time, name), [0.0]
    monkeypatch.setattr(time, name, lambda *which: real(*which) + (slept[0] if which in ((), (clock,)) else 0.0))
    node.local.sessions.append(Session("alice", secrets.token_hex(6), node.keyring.signer("alice")))
    node.local.lease.wanted = True

    def may_act() -> bool:
        return node.local.holds_lease(node.fleet.terms, node.replica.clock.monotonic_s())

    node.sync()
    assert node.local.leading(node.fleet.terms) and not may_act()
    for _ in range(4):
        slept[0] += node.profile.lease_s * 0.4
        node.sync()
    assert may_act()
    slept[0] += 3600
    assert not may_act()


def test_a_beat_that_cannot_have_the_lock_is_pushed_by_whoever_has_it(node: Node, tmp_path: Path) -> None:
    with gitcoord.join(tmp_path / "alice", agent="bob") as me, sessions.locked(me.node, ["bob"]):
        mine = me.node
        sessions.AgentSessions(mine, lambda kind, text: None, lambda: False).take("bob", may_lead=False, takeover=False)
        with node.home.sync_lock, pytest.raises(filelock.Timeout):
            mine.sync(lock_timeout_s=0)
        assert node.sync().outbox is not None
        assert [heartbeat.actor for heartbeat in node.replica.heartbeats()] == []
        node.sync()
        assert [heartbeat.actor for heartbeat in node.replica.heartbeats()] == ["bob"]
        before = mine.local.sessions[0].count
        assert mine.sync().outbox is None and mine.local.sessions[0].count <= before + 1


def test_one_run_of_an_agent_on_a_node(node: Node) -> None:
    with sessions.locked(node, ["alice"]):
        assert node.home.running() == ["alice"]
        with pytest.raises(Lost, match="Alice runs on this node already"), sessions.locked(node, ["Alice"]):
            pass
    assert node.home.running() == []


def test_names_are_taken_as_the_fleet_writes_them(node: Node) -> None:
    node.sync()
    taking = sessions.AgentSessions(node, lambda kind, text: None, lambda: False)
    assert taking.names(["ALICE", "alice"]) == ["alice"]
    with pytest.raises(Refused, match="the key of bob is not on this node"):
        taking.names(["bob"])
    node.home.keys.save("bob", secrets.token_bytes(32))
    with pytest.raises(Refused, match="bob has not joined this fleet"):
        taking.names(["bob"])


def test_of_two_runs_that_see_each_other_move_the_smaller_session_stays(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = sessions.AgentSessions(node, lambda kind, text: None, lambda: False)
    other: dict[str, Any] = {"session": "aaa", "n": 1, "state": "alive"}
    monkeypatch.setattr(sessions, "elsewhere", lambda node, agent: {"far": dict(other)})
    session = Session("alice", "mmm", node.keyring.signer("alice"))
    assert taking.lost(session, []) is None
    assert taking.lost(session, []) is None  # it does not move: a dead one's last heartbeat
    other["n"] = 2
    assert "runs on node far as well" in str(taking.lost(session, []))
    session.takes_over_from = "aaa"
    assert taking.lost(session, []) is None  # that one we take over from: it ends, not we
    session.takes_over_from, session.id = None, "000"
    assert taking.lost(session, []) is None  # the other one ends


def test_a_round_that_leaves_nothing_to_do_is_not_followed_by_another(node: Node) -> None:
    node.local.sessions = [Session("alice", "s", node.keyring.signer("alice"))]
    runner = Runner(node, RunOptions(["alice"]))
    runner.round()
    now = runner.schedule.due_s - 0.001
    assert not runner.is_due(now)
    node.append(node.draft("note", "new", actor="alice"))
    assert runner.is_due(now)  # the queue is watched: no poll is waited for
    runner.round()
    assert not runner.is_due(runner.schedule.due_s - 0.001)
    runner.schedule.not_before_s = runner.schedule.due_s + 100
    assert not runner.is_due(runner.schedule.due_s + 50)  # an outage: neither polls nor news make it faster


@pytest.mark.parametrize("once", [True, False])
def test_a_run_that_stops_hands_over_what_its_agent_has_here(node: Node, once: bool) -> None:
    def act(name: str, **given: Any) -> Any:
        return submit.act(node, submit.named(name), given, actor="alice")  # type: ignore[arg-type]

    uid = act("task create", title="Fix it").events[0].uid
    act("task claim", task=uid)
    act("reserve", paths=["src"])
    Runner(node, RunOptions(["alice"], once=once, for_s=0.2)).run()
    task, held = node.fleet.states["tasks"].tasks[uid], node.fleet.states["reservations"].held
    assert (task.text.startswith("session ended; "), held == {}) == (not once, not once)
    assert task.status == "accepted"


def test_what_a_stop_says_of_begun_tasks_is_sent_before_the_run_ends(node: Node, tmp_path: Path) -> None:
    stop, kinds = StopFlag(), []

    def say(kind: str, text: str) -> None:
        kinds.append(kind)
        if "begins: " in text:
            stop.set()

    task = submit.named("task create")
    given = {"title": "Wait", "agent": "alice"}
    uid = submit.act(node, task, given, actor="alice").events[0].uid  # type: ignore[arg-type]
    Runner(node, RunOptions(["alice"], work=WorkerConfig("sleep 100"), say=say, for_s=60), stop).run()
    waiting = [event.type for event in node.disk.pending() if event.uid not in node.fleet.positions]
    last = node.fleet.states["tasks"].tasks[uid].last
    assert (waiting, last.outcome, last.reason) == ([], "released", "alice was told to stop") and kinds[-1] == "goodbye"


def test_one_member_on_many_nodes_takes_one_nodes_share_of_the_push_budget(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(heartbeats: list[tuple[str, str]]) -> float | None:
        beats = [SimpleNamespace(actor=who, node=on, data={"state": "alive"}) for who, on in heartbeats]
        monkeypatch.setattr(type(node.replica), "heartbeats", lambda self: beats)
        node.use_profile("github")
        push_budget.share(node.budget, node.local, node.replica, node_id="n1")
        return node.budget.rate

    honest = share([("alice", "n1"), ("bob", "n2"), ("carol", "n3")])
    assert honest == share([("alice", "n1"), ("bob", "n2"), *(("Carol", f"n{number}") for number in range(3, 100))])
    assert honest == share([("alice", "n1"), ("alice2", "n1"), ("bob", "n2"), ("carol", "n3")])


def test_all_processes_of_a_node_share_one_push_budget(node: Node) -> None:
    node.use_profile("github")
    pushed = []
    for number in range(6):  # as many commands, one after the other
        node.budget = type(node.budget)(node.local.profile.pushes_per_minute)
        node.append(node.draft("note", f"number {number}", actor="alice"))
        pushed.append(not node.sync().waiting)
    assert pushed.count(True) <= 3 and not pushed[-1]
    node.budget = type(node.budget)(node.local.profile.pushes_per_minute)
    push_budget.resume(node.budget, node.home.progress())
    assert 5 < node.budget.wait_s(node.budget.at_s or 0.0) <= 10.1


@pytest.fixture
def foreign(node: Node, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Another fleet's ledger lies on the remote, and a person has to decide; call it to put ours back."""
    node.sync()
    with gitcoord.join(tmp_path / "mallory", agent="mallory") as other:
        other.sync()
        theirs = other.node.config

    def put(source: str, ref: str) -> None:
        fetch = ["git", "-C", node.config.remote, "fetch", "--quiet", "--force", source]
        subprocess.run([*fetch, f"{ref}:{node.config.ledger}"], check=True)

    subprocess.run(["git", "-C", node.config.remote, "branch", "kept", node.config.ledger], check=True)
    put(theirs.remote, theirs.ledger)
    node.home.save_sight(Sight())  # as if we had been away for months: otherwise ours is put back at once
    yield lambda: put(".", "refs/heads/kept")


def test_another_fleets_ledger_on_the_remote_ends_nobody_who_starts(node: Node, foreign: Callable[[], None]) -> None:
    said: list[str] = []
    Runner(node, RunOptions(["alice"], for_s=0.5, say=lambda kind, text: said.append(f"{kind}: {text[:32]}"))).run()
    assert said[0] == "damaged: the remote's ledger was replaced" and said[-1] == "goodbye: goodbye"


@pytest.mark.parametrize("way", ["follows", "waits"])
def test_another_fleets_ledger_on_the_remote_ends_nobody_who_follows_or_waits(
    node: Node, foreign: Callable[[], None], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    member, sync, failed = Member(node, "alice"), node.sync, []

    def noted(**options: Any) -> Report:
        if failed:
            foreign()
            member.append("note", "news")
        try:
            return sync(**options)
        except Corrupt as wrong:
            failed.append(str(wrong))
            raise

    monkeypatch.setattr(node, "sync", noted)
    if way == "follows":
        assert "news" in [event.content for event in islice(member.events(follow=True, poll_s=0.01), 3)]
    else:
        assert wait.wait_for(node, "event note", actor="alice", timeout_s=60).startswith("note ")
    assert failed
