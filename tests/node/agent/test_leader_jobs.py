"""Errands: only the leader runs them, only while it may act, one at a time; what they found is written down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import gitcoord
from gitcoord.core.commands import Context, NewEvent
from gitcoord.core.errors import Unreachable
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.node.agent.leader_jobs import LeaderJobs, LeaseHeld, PreparedJob
from gitcoord.node.agent.sessions import AgentSessions
from gitcoord.node.node import Node
from tests.waiting import wait_until


class Notes:
    """An errand that writes a note each minute."""

    def __init__(self, name: str = "note", interval_s: float = 60.0) -> None:
        self.name, self.often_s = name, interval_s
        self.wrong: Exception | None = None
        self.may: list[bool] = []
        self.hold = threading.Event()
        self.hold.set()

    def interval_s(self, ctx: Context) -> float:
        return self.often_s

    def prepare(self, ctx: Context) -> PreparedJob | None:
        return self.work

    def work(self, may_act: LeaseHeld) -> list[NewEvent]:
        self.hold.wait(10)
        self.may.append(may_act())
        if self.wrong is not None:
            raise self.wrong
        return [NewEvent("note", f"{self.name} is done")]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """alice's, who leads, and may act."""
    monkeypatch.setattr(LocalSessions, "holds_lease", lambda self, terms, now_s: self.leading(terms) is not None)
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        AgentSessions(me.node, lambda kind, text: None, lambda: False).take("alice", may_lead=True, takeover=False)
        me.sync()
        wait_until(lambda: me.node.sync() and me.node.fleet.terms.leader == "alice", what="alice to lead")
        me.node.local.lease.valid_until_s = float("inf")
        yield me.node


def to_end(jobs: LeaderJobs, now_s: float) -> bool:
    """Whether something was begun; it has ended now."""
    if not jobs.step(now_s):
        return False
    wait_until(lambda: jobs.is_due(now_s), what="the job to end")
    jobs.step(now_s)
    return True


def notes(node: Node) -> list[str]:
    return [event.content for event in node.disk.pending() if event.type == "note"]


def test_each_is_done_as_often_as_it_is_wanted(node: Node) -> None:
    jobs = LeaderJobs(node, [Notes("one"), Notes("two", 100.0), Notes("never", 0.0)], say=lambda kind, text: None)
    assert to_end(jobs, 1.0) and to_end(jobs, 1.0) and not to_end(jobs, 1.0)
    assert notes(node) == ["one is done", "two is done"]
    assert not to_end(jobs, 60.0) and to_end(jobs, 61.0) and not to_end(jobs, 61.0)


def test_who_does_not_lead_does_none(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalSessions, "leading", lambda self, terms: None)
    jobs = LeaderJobs(node, [Notes()], say=lambda kind, text: None)
    assert not jobs.step(1.0) and not jobs.busy


def test_a_leader_that_may_not_act_yet_wants_to(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalSessions, "holds_lease", lambda self, terms, now_s: False)
    jobs = LeaderJobs(node, [Notes()], say=lambda kind, text: None)
    assert not jobs.step(1.0) and jobs.busy and node.local.lease.wanted
    monkeypatch.setattr(LocalSessions, "holds_lease", lambda self, terms, now_s: True)
    assert to_end(jobs, 2.0) and not jobs.busy


def test_what_is_being_done_is_told_when_it_may_act_no_more(node: Node) -> None:
    one = Notes()
    one.hold.clear()
    jobs = LeaderJobs(node, [one], say=lambda kind, text: None)
    assert jobs.step(1.0) and jobs.busy and not jobs.step(1.0)
    jobs.ask_to_end()
    one.hold.set()
    jobs.end()
    assert one.may == [False] and not jobs.busy


@pytest.mark.parametrize("wrong", [Unreachable("GitHub is in trouble"), KeyError("a bug")])
def test_a_failure_is_told_and_tried_again_later_and_later(node: Node, wrong: Exception) -> None:
    said: list[str] = []
    one = Notes()
    one.wrong = wrong
    jobs = LeaderJobs(node, [one], say=lambda kind, text: said.append(f"{kind}: {text}"))
    assert to_end(jobs, 0.0) and said[0].startswith("job_failed: note: ")
    assert not to_end(jobs, 119.0) and to_end(jobs, 120.0) and not to_end(jobs, 359.0)
    one.wrong = None
    assert to_end(jobs, 360.0) and notes(node) == ["note is done"] and to_end(jobs, 420.0)


def test_after_one_that_found_nothing_the_next_begins_at_once(node: Node) -> None:
    """`agent run --once` goes on for as long as something is busy, and takes a step until there is nothing to do."""
    nothing = Notes("nothing")
    nothing.wrong = Unreachable("GitHub is in trouble")
    jobs = LeaderJobs(node, [nothing, Notes("two")], say=lambda kind, text: None)
    assert jobs.step(1.0)
    wait_until(lambda: jobs.is_due(1.0), what="the first one to end")
    assert jobs.step(1.0) and jobs.step(1.0) and jobs.busy
    jobs.end()
    assert notes(node) == ["two is done"]
