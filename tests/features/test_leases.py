"""Leases: what an agent has goes back when its session is gone, or when it runs nowhere and writes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, LATE, AgentLiveness
from gitcoord.features import FEATURES
from gitcoord.features.tasks import leases
from gitcoord.features.tasks.state import Task
from tests.features.work import Work

GRACE_S, LEASE_S = 120, 1800


class Leases(Work):
    """A fleet in which everybody is heard as `seen` says; an agent that is not in it never had a session."""

    def __init__(self, **agents: list[str]) -> None:
        super().__init__(**agents)
        self.seen: dict[str, AgentLiveness] = {}
        self.watching_s = 1e9
        self.hear("alice")

    def hear(self, agent: str, state: str = ALIVE, gone_s: float = 0.0, **more: Any) -> None:
        fields: dict[str, Any] = {"at": self.now, "watched_s": gone_s, "gone_s": gone_s, **more}
        self.seen[agent] = AgentLiveness(agent, state, f"node-{agent}", f"s-{agent}", gone_s, 1.0, **fields)

    def ctx(self, actor: str) -> Context:
        return Context(
            self.story.fleet, self.now, actor, f"node-{actor}", liveness=self.seen, watching_s=self.watching_s
        )

    def claimed(self, agent: str = "bob", **given: Any) -> Task:
        """Return a task that the agent has claimed."""
        uid = self.create("a", **given)
        self.do(agent, "task claim", task=uid)
        return self.task(uid)

    def left_s(self, task: Task) -> float | None:
        lease = leases.of(self.state, task, self.ctx("alice"))
        return lease.left_s if lease is not None else None


def fleet() -> Leases:
    one = Leases()
    one.story.joined("bob", "carol")
    return one


def test_a_task_goes_back_after_the_grace_once_its_holder_said_goodbye() -> None:
    one = fleet()
    one.hear("bob")
    task = one.claimed()
    one.wait(3600)
    assert not one.lead()
    one.hear("bob", GOODBYE, 10)
    [row] = one.ask("carol", "task list")
    assert row["blocked"] == "held, holder gone (bob said goodbye), goes back in 110 s"
    assert row["lease_left_s"] == 110.0 and not one.lead()
    one.hear("bob", GOODBYE, GRACE_S)
    assert one.ask("carol", "task show", task=task.id)["blocked"].endswith("goes back now")
    assert one.lead() == ["'a' is taken back: bob said goodbye"]
    assert (task.status, task.failures, task.last.outcome) == ("ready", 0, "released")
    one.do("carol", "task claim", task=task.id)
    refusal = one.say("bob", "task_finished", re=task.id, attempt=1)
    assert refusal is not None and refusal.startswith("attempt 1 is over (released): carol has it")


def test_a_holder_that_died_counts_as_a_failure_and_one_that_is_late_keeps_its_task() -> None:
    one = fleet()
    one.hear("bob")
    task = one.claimed()
    one.wait(3600)
    one.hear("bob", LATE, 1000)
    assert one.left_s(task) is None and not one.lead()
    one.hear("bob", GONE, GRACE_S)
    assert one.lead() == ["'a' is taken back: bob is gone"]
    assert task.failures == 1


def test_an_agent_of_the_command_line_keeps_its_task_for_a_lease_after_whatever_it_writes() -> None:
    one = fleet()
    task = one.claimed()
    one.wait(LEASE_S / 2 - 1)
    [row] = one.ask("carol", "task list")
    assert (row["blocked"], row["lease_left_s"]) == ("", LEASE_S / 2 + 1)  # it need not write often
    one.wait(LEASE_S / 2)
    one.say("carol", "note")
    one.do("bob", "message broadcast", text="still at it")
    one.wait(LEASE_S - 1)
    one.say("carol", "note")
    assert one.left_s(task) == pytest.approx(1) and not one.lead()
    [row] = one.ask("carol", "task list")
    assert row["blocked"] == "held, holder gone (bob runs nowhere, and wrote nothing for 30 min), goes back in 1 s"
    one.wait(1)
    assert one.lead() == ["'a' is taken back: bob runs nowhere, and wrote nothing for 30 min"]
    assert (task.status, task.failures) == ("ready", 0)


@pytest.mark.parametrize("state", ["", GOODBYE])
def test_a_session_that_says_it_ends_has_the_grace_and_its_next_word_takes_that_back(state: str) -> None:
    one = fleet()
    task = one.claimed()
    if state:
        one.hear("bob", state, 0)
    text = "session ended; its work is on the branch bo"
    one.say("bob", "task_progressed", re=task.id, attempt=1, branch="bo", text=text, session_ended=True)
    one.wait(20)
    [row] = one.ask("carol", "task list")
    assert row["blocked"] == "held, holder gone (bob's session ended), goes back in 100 s"
    assert (task.status, task.branch, task.text) == ("accepted", "bo", text)
    one.do("bob", "task start", task=task.id)
    one.wait(GRACE_S)
    assert (one.left_s(task) or 0) > LEASE_S / 2 or state
    one.say("bob", "task_progressed", re=task.id, attempt=1, session_ended=True)
    one.hear("bob")  # another window of it is open
    one.wait(GRACE_S)
    assert one.left_s(task) is None and not one.lead()
    del one.seen["bob"]
    assert one.lead() == ["'a' is taken back: bob's session ended"]
    assert (task.status, task.failures) == ("ready", 0)


def test_a_holder_that_writes_just_then_keeps_its_task() -> None:
    one = fleet()
    task = one.claimed()
    one.wait(LEASE_S)
    meant = one.duties()
    one.do("bob", "task progress", task=task.id, text="still at it")
    assert len(one.lead(meant)) == 1 and task.status == "running"
    assert any("bob wrote again in the meantime" in one for one in one.story.fleet.refusals.values())
    one.wait(LEASE_S)
    assert len(one.lead()) == 1 and task.status == "ready"


@pytest.mark.parametrize(("state", "later_s", "left_s"), [
    (GOODBYE, 1, LEASE_S),
    (GOODBYE, -1, GRACE_S - 60),
    (GONE, 60, LEASE_S),
    (GONE, 1, GRACE_S),
])  # fmt: skip
def test_what_is_claimed_after_the_session_ended_has_the_lease_of_the_command_line(
    state: str, later_s: float, left_s: float
) -> None:
    one = fleet()
    one.wait(3600)
    ended = times.later(one.now, -later_s)
    one.hear("bob", state, 60, at=ended)
    task = one.claimed()
    if later_s < 0:  # the session's own last word
        one.wait(60)
    assert one.left_s(task) == pytest.approx(left_s)


def test_after_an_outage_of_the_leader_an_agent_without_a_session_has_the_grace_to_write() -> None:
    one = fleet()
    task = one.claimed()
    one.wait(10 * LEASE_S)
    one.watching_s = 5
    assert one.left_s(task) == GRACE_S - 5 and not one.lead()
    one.watching_s = GRACE_S
    assert len(one.lead()) == 1


def test_a_node_that_has_not_looked_yet_says_nothing_of_leases() -> None:
    one = fleet()
    task = one.claimed()
    one.wait(10 * LEASE_S)
    one.seen = {}
    assert one.left_s(task) is None and not one.lead() and not one.ask("carol", "task list")[0]["blocked"]


def test_the_settings_say_how_long_the_grace_and_the_lease_are() -> None:
    one = fleet()
    one.say("alice", "config_changed", set={"task_grace_s": 5, "task_lease_s": 50})
    one.hear("bob")
    first, second = one.claimed(), one.claimed("carol")
    one.wait(40)
    one.hear("bob", GOODBYE, 4)
    assert (one.left_s(first), one.left_s(second)) == (1, 10)


def test_a_supervisor_that_saw_the_session_end_is_believed_before_any_heartbeat_is_missed() -> None:
    one = Leases()
    one.story.joined("bob")
    one.do("bob", "agent register")
    one.hear("bob")
    task = one.claimed()
    assert one.left_s(task) is None
    one.say("bob", "agent_exited", session="s-bob", code=1)
    assert one.left_s(task) == GRACE_S


def test_the_released_task_says_where_its_work_is() -> None:
    one = fleet()
    one.hear("bob")
    uid = one.create("a")
    assert one.say("bob", "task_claimed", re=uid, place="bo", branch="fix/parser") is None
    one.wait(GRACE_S)
    one.hear("bob", GOODBYE, GRACE_S)
    node = one.task(uid).last.node
    assert one.lead() == [
        f"'a' is taken back: bob said goodbye; its work is on the branch fix/parser in the work tree bo of node {node}"
    ]
    [attempt] = one.ask("carol", "task show", task=uid)["attempts"]
    assert (attempt["node"], attempt["place"], attempt["branch"]) == (node, "bo", "fix/parser")


def test_claim_and_start_say_in_which_work_tree_and_on_which_branch() -> None:
    one = fleet()
    uid = one.create("a")
    ctx = Context(one.story.fleet, one.now, "bob", "node-bob", "bo", branch=lambda: "fix/parser")
    for name in ("task claim", "task start"):
        what: Any = FEATURES["tasks"].COMMANDS[name]
        [event] = what.decide(ctx, what.arguments(task=uid))
        assert (event.data["place"], event.data["branch"]) == ("bo", "fix/parser")
        assert one.say("bob", event.type, re=uid, **event.data) is None


def test_the_branch_of_an_earlier_task_is_not_that_of_a_claim_and_progress_names_the_branch() -> None:
    one = fleet()
    earlier, uid = one.create("a"), one.create("b")
    branch = "fix/a"
    ctx = Context(one.story.fleet, one.now, "bob", "node-bob", "bo", branch=lambda: branch)
    for name, task, told in (
        ("task claim", earlier, "fix/a"),
        ("task claim", uid, None),  # bob has not switched yet
        ("task progress", uid, "fix/b"),
    ):
        branch = "fix/b" if name == "task progress" else branch
        what: Any = FEATURES["tasks"].COMMANDS[name]
        given = {"share": 0.1} if name == "task progress" else {}
        [event] = what.decide(ctx, what.arguments(task=task, **given))
        assert event.data.get("branch") == told
        assert one.say("bob", event.type, re=task, **event.data) is None


def test_what_was_heard_is_kept_for_holders_only_and_written_down() -> None:
    one = fleet()
    task = one.claimed()
    assert list(one.state.heard) == ["bob"]
    one.say("bob", "note")
    value = one.story.fleet.dump()
    again = FleetState.load(value, FEATURES)
    assert again.states["tasks"].heard == one.state.heard and again.dump() == value
    one.do("bob", "task finish", task=task.id)
    assert not one.state.heard


def test_a_holders_own_clock_tells_whether_it_wrote_after_its_session() -> None:
    """A machine whose clock is an hour slow: the ledger accepts its events at ledger time, which is later."""
    one = fleet()
    one.wait(7200)
    one.say("alice", "note")
    one.say("carol", "note")
    slow = times.later(one.now, -3600)
    one.hear("bob", GOODBYE, 0, at=times.later(slow, 1))
    uid = one.create("a")
    one.story.say("bob", "task_claimed", data={}, re=uid, timestamp=slow)
    assert one.left_s(one.task(uid)) == pytest.approx(GRACE_S)
