"""Recovery: each strategy, in the order that the fleet has configured; breakers that open only where they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.duties import wanted
from gitcoord.core.errors import Refused
from gitcoord.core.liveness import ALIVE, GONE, AgentLiveness
from gitcoord.core.names import uid_from
from gitcoord.features import agents, messages, recovery
from gitcoord.features.agents import commands as agent_commands
from gitcoord.features.recovery import Arguments, ListRecoveries, ShowRecovery, circuits
from tests.core.lines import NOW, Story


class Play:
    """A fleet that alice leads; time goes on when it is told to."""

    def __init__(self, *others: str, settings: dict[str, Any] | None = None) -> None:
        self.story = Story().founded().joined(*others)
        self.seconds = 0.0
        self.gone_s = 0.0
        self.states = {name: ALIVE for name in ("alice", *others)}
        self.sessions = {name: 1 for name in self.states}
        self.nodes = {name: f"node-{name}" for name in self.states}
        self.story.elect("alice", 1)
        if settings:
            self.say("alice", "config_changed", set=settings)

    @property
    def now(self) -> str:
        return times.later(NOW, self.seconds)

    @property
    def ctx(self) -> Context:
        seen = {
            name: AgentLiveness(name, state, self.nodes[name], f"s{self.sessions[name]}", 4.0, 1.0, gone_s=self.gone_s)
            for name, state in self.states.items()
        }
        return Context(self.story.fleet, self.now, "alice", "node-alice", liveness=seen)

    def say(self, actor: str, type_: str, *, re: str | None = None, **data: Any) -> str:
        sequenced = self.story.say(actor, type_, type_, data=data, re=re, timestamp=self.now)
        assert sequenced.void is None, sequenced
        assert sequenced.event.uid not in self.fleet.refusals, self.fleet.refusals
        return sequenced.event.uid

    def register(self, agent: str, *capabilities: str, **data: Any) -> None:
        data.setdefault("accept_assignments", True)
        self.say(agent, "agent_registered", capabilities=list(capabilities), **data)

    def task(self, *needs: str, **data: Any) -> str:
        return self.say("alice", "task_created", title="work", needs=list(needs), **data)

    @property
    def fleet(self) -> Any:
        return self.story.fleet

    def tick(self, seconds: float = 0.5, ticks: int = 1) -> list[str]:
        """The leader looks and does what is due; what it says, without the tasks' own words."""
        said = []
        for _ in range(ticks):
            self.seconds += seconds
            duties = {duty.key: duty for duty in wanted(self.fleet, self.ctx)}
            for duty in duties.values():
                if duty.key in self.fleet.done:
                    continue
                draft = duty.draft(actor="alice", term=1, timestamp=self.now, uid=uid_from(b"0" * 10))
                sequenced = self.story.say(
                    "alice",
                    draft.type,
                    draft.content,
                    data=dict(draft.data),
                    re=draft.re,
                    to=draft.to,
                    term=1,
                    timestamp=self.now,
                )
                assert sequenced.void is None, sequenced
                assert sequenced.event.uid not in self.fleet.refusals, self.fleet.refusals
                said.append(duty.type)
        return said

    def kill(self, agent: str) -> None:
        self.states[agent] = GONE

    def revive(self, agent: str) -> None:
        self.states[agent] = ALIVE
        self.sessions[agent] += 1

    def recoveries(self) -> list[dict[str, Any]]:
        return recovery.list_(self.ctx, ListRecoveries())

    def holder(self, task: str) -> str | None:
        found: str | None = self.fleet.states["tasks"].tasks[task].agent
        return found


def only(said: Sequence[str], *wanted: str) -> list[str]:
    return [one for one in said if one in wanted]


def test_restart_is_asked_for_where_a_supervisor_lives_and_the_agent_comes_back() -> None:
    play = Play("bob")
    play.register("bob", "python", supervised=True)
    play.say("bob", "agent_exited", session="s1", code=-9)
    assert play.tick() == ["recovery_started", "restart_requested"]
    [lasting] = play.recoveries()
    assert lasting["outcome"] is None
    assert play.tick(ticks=10) == []  # it is given its time
    play.say("bob", "agent_restarted", re=lasting["id"], agent="bob", pid=7)
    play.revive("bob")
    assert play.tick() == ["agent_returned"]
    [ended] = play.recoveries()
    assert (ended["outcome"], ended["automatic"], ended["seconds"]) == ("restarted", True, 6.0)
    assert play.tick(ticks=3) == []


@pytest.mark.parametrize(
    ("supervised", "neighbour", "said"),
    [(True, True, "restart_requested"), (True, False, "work_redistributed"), (False, True, "work_redistributed")],
)
def test_only_whom_a_supervisor_on_a_living_node_started_is_started_again(
    supervised: bool, neighbour: bool, said: str
) -> None:
    play = Play("bob", "carol")
    play.register("bob", "python", supervised=supervised)
    play.register("carol", "python")
    play.nodes["carol"] = "node-bob" if neighbour else "node-carol"
    play.kill("bob")
    assert play.tick() == ["agent_lost", "recovery_started", said]


def test_without_a_living_supervisor_the_backup_gets_capabilities_and_tasks() -> None:
    play = Play("bob", "carol")
    play.register("bob", "rust", supervised=True, backup="carol")  # supervised, but its whole node is gone
    play.register("carol", "python")
    task = play.task("rust")
    assert play.tick() == ["task_assigned"] and play.holder(task) == "bob"
    play.kill("bob")
    assert play.tick() == ["agent_lost", "recovery_started", "backup_activated", "task_released"]  # in one breath
    play.tick()
    assert play.holder(task) == "carol"
    assert [one["outcome"] for one in play.recoveries()] == ["backup"]
    play.revive("bob")
    assert play.tick() == ["agent_returned"]
    assert agents.get(play.ctx, "carol").capabilities == ["python"]  # type: ignore[union-attr]


def test_work_of_the_one_that_is_gone_goes_to_its_backup_first() -> None:
    play = Play("bob", "carol")
    for agent in ("alice", "carol"):
        play.register(agent, "python")
    play.register("bob", "python", backup="carol")
    task = play.task("python", agent="bob")
    play.tick()
    assert play.holder(task) == "bob"
    play.kill("bob")
    play.tick(ticks=4)
    assert play.holder(task) == "carol"  # not alice, who comes first by name


def test_a_backup_that_is_gone_as_well_hands_on_to_its_own() -> None:
    play = Play("bob", "carol", "dave")
    play.register("bob", "rust", backup="carol")
    play.register("carol", "rust", backup="dave")
    play.register("dave", "python", backup="bob")
    play.kill("carol")
    play.tick(ticks=4)
    play.kill("bob")
    play.tick(ticks=4)
    assert agents.get(play.ctx, "dave").stands_in == {"carol": ["rust"], "bob": ["rust"]}  # type: ignore[union-attr]


def test_without_a_backup_its_tasks_go_to_others() -> None:
    play = Play("bob", "carol")
    play.register("bob", "python")
    play.register("carol", "python", slots=2)
    first, second = play.task("python", agent="bob"), play.task("python", agent="carol")
    play.tick()
    play.say("bob", "task_started", re=first, attempt=1)
    assert (play.holder(first), play.holder(second)) == ("bob", "carol")
    play.kill("bob")
    said = play.tick(ticks=4)
    assert only(said, "task_released", "work_redistributed", "fleet_degraded", "escalated") == [
        "task_released",
        "work_redistributed",
    ]
    assert play.holder(first) == "carol" and play.fleet.states["tasks"].tasks[first].attempt == 2
    assert [one["outcome"] for one in play.recoveries()] == ["redistributed"]


def test_what_an_agent_claimed_itself_it_keeps_for_the_grace_of_its_lease() -> None:
    play = Play("bob", "carol")
    play.register("bob", "python", accept_assignments=False)
    play.register("carol", "python")
    task = play.task("python", agent="bob")
    play.say("bob", "task_claimed", re=task)
    play.kill("bob")
    said = play.tick(ticks=4)
    assert only(said, "task_released", "work_redistributed") == ["work_redistributed"]
    assert play.holder(task) == "bob"
    play.gone_s = 120.0
    assert only(play.tick(120.0), "task_released") == ["task_released"]
    play.tick()
    assert play.holder(task) == "carol"


def test_where_nobody_else_can_do_it_the_fleet_is_degraded_dependants_are_told_and_people_too() -> None:
    play = Play("bob", "carol")
    play.register("bob", "rust")
    play.register("carol", "python", depends_on=["bob"])
    play.kill("bob")
    said = play.tick(ticks=4)
    assert only(said, "work_redistributed", "fleet_degraded", "escalated", "circuit_opened") == [
        "work_redistributed",
        "fleet_degraded",
        "escalated",
        "circuit_opened",
    ]
    found = recovery.show(play.ctx, ShowRecovery())
    assert found["outcome"] == "escalated" and not found["automatic"]
    assert [step["strategy"] for step in found["steps"]] == ["redistribute", "degrade", "escalate"]
    assert "no other agent can do rust; it is needed by carol" in found["steps"][1]["text"]
    assert play.tick(ticks=50) == []


def test_a_restart_that_does_not_help_is_followed_by_the_next_strategy() -> None:
    play = Play("bob", "carol", settings={"recovery_wait_s": 10})
    play.register("bob", "python", supervised=True, backup="carol")
    play.register("carol", "python")
    play.say("bob", "agent_exited", session="s1", code=1)
    assert play.tick(ticks=20) == ["recovery_started", "restart_requested"]
    assert play.tick(2.0) == ["backup_activated"]


def test_who_is_lost_again_and_again_is_no_longer_restarted_and_a_person_is_told() -> None:
    play = Play("bob", "carol", settings={"restarts_max": 2})
    play.register("bob", "python", supervised=True)
    play.register("carol", "python")
    for _ in range(2):
        play.say("bob", "agent_exited", session=f"s{play.sessions['bob']}", code=1)
        assert play.tick(ticks=2) == ["recovery_started", "restart_requested"]
        play.revive("bob")
        assert play.tick() == ["agent_returned"]
    play.say("bob", "agent_exited", session="s3", code=1)
    assert play.tick(ticks=3) == ["recovery_started", "work_redistributed", "escalated"]
    assert [one["outcome"] for one in play.recoveries()] == ["restarted", "restarted", "escalated"]
    assert recovery.rate(play.ctx, Arguments()) == {
        "recoveries": 3,
        "automatic": 2,
        "rate": 0.66667,
        "mean_s": 1.167,
        "lasting": 0,
        "outcomes": {"escalated": 1, "restarted": 2},
    }


@pytest.mark.parametrize(
    ("strategies", "said"),
    [
        ([], []),
        (["escalate"], ["recovery_started", "escalated"]),
        (["backup"], ["recovery_started", "recovery_failed"]),
        (["degrade"], ["recovery_started", "fleet_degraded"]),
    ],
)
def test_only_what_is_configured_is_tried(strategies: list[str], said: list[str]) -> None:
    play = Play("bob", settings={"recovery": strategies})
    play.register("bob", "rust", supervised=True)
    play.say("bob", "agent_exited", session="s1", code=1)
    assert play.tick(ticks=4) == said


def test_under_supervision_a_recovery_waits_for_approval() -> None:
    play = Play("bob")
    play.register("bob", "python", supervised=True)
    play.say("alice", "autonomy_changed", level="supervised")
    play.say("bob", "agent_exited", session="s1", code=1)
    assert play.tick(ticks=3) == ["proposal_made"]
    [proposal] = play.fleet.states["autonomy"].proposals
    play.say("bob", "proposal_approved", re=proposal)
    assert play.tick(ticks=3) == ["recovery_started", "restart_requested"]


def test_who_said_goodbye_is_not_recovered() -> None:
    play = Play("bob")
    play.register("bob", "rust")
    play.states["bob"] = "goodbye"
    assert play.tick(ticks=3) == ["agent_departed"]


def test_only_the_leaders_word_makes_a_recovery() -> None:
    play = Play("bob")
    play.register("bob", "rust")
    for type_ in ("recovery_started", "escalated", "work_redistributed", "circuit_opened"):
        assert "only the leader" in str(play.story.say("bob", type_, data={"agent": "bob"}).void)
    assert play.recoveries() == []


# Breakers


def test_only_those_that_need_the_failing_one_are_told_and_nothing_goes_on_from_there() -> None:
    play = Play("bob", "carol", "dave", "eve")
    play.register("bob", "rust")
    play.register("carol", "python", depends_on=["bob"])
    play.register("dave", "python", depends_on=["carol"])
    play.register("eve", "rust")
    play.kill("bob")
    said = play.tick(ticks=5)
    assert only(said, "circuit_opened") == ["circuit_opened"]
    opened = [duty for duty in circuits.duty({}, play.ctx) if duty.type == "circuit_opened"]
    assert [(duty.data["agent"], duty.to) for duty in opened] == [("bob", ("carol",))]
    assert circuits.why_not_ask(play.ctx, "BOB") == "bob: it is gone, send it no requests (try again when it is back)"
    assert circuits.why_not_ask(play.ctx, "carol") is None
    assert [one["agent"] for one in recovery.list_circuits(play.ctx, Arguments())] == ["bob"]


def test_a_breaker_is_tried_after_a_while_and_closed_by_success() -> None:
    play = Play("bob", "carol")
    play.register("bob", "python")
    for _ in range(circuits.FAILURES_MAX):
        task = play.task(agent="bob", attempts_max=1)
        play.tick(600)
        play.say("bob", "task_failed", re=task, attempt=1, reason="it will not")
    assert only(play.tick(), "circuit_opened") == ["circuit_opened"]
    assert agents.available(play.ctx) == []  # nor is it given work
    waiting = play.task("python")
    assert play.tick(1, 25) == []
    assert only(play.tick(6), "circuit_half_opened") == ["circuit_half_opened"]
    play.tick()
    assert play.holder(waiting) == "bob"
    play.say("bob", "task_finished", re=waiting, attempt=1)
    assert only(play.tick(), "circuit_closed") == ["circuit_closed"]
    assert play.tick(1, 5) == []


def test_a_request_to_one_that_fails_is_refused_and_one_for_a_capability_goes_to_the_others() -> None:
    play = Play("bob", "carol")
    play.register("bob", "rust")
    play.register("carol", "rust")
    play.register("alice", "python", depends_on=["bob"])
    play.kill("bob")
    play.tick(ticks=3)
    request = messages.COMMANDS["message request"]

    def ask(**given: Any) -> Any:
        return request.decide(play.ctx, request.arguments(text="what?", **given))  # type: ignore[union-attr]

    with pytest.raises(Refused, match="bob: it is gone, send it no requests"):
        ask(to=["BOB"])
    [proposal] = ask(capability="rust")
    assert proposal.to == ("carol",)


def test_who_leaves_gives_back_what_it_has() -> None:
    play = Play("bob")
    play.register("bob", "python")
    task = play.task("python")
    play.tick()
    left = agent_commands.leave(replace(play.ctx, actor="bob"), agent_commands.WithdrawAgent())
    assert [one.type for one in left] == ["task_released", "agent_unregistered"]
    for one in left:
        play.say("bob", one.type, re=one.re, **one.data)
    assert play.holder(task) is None


def test_a_trial_that_fails_doubles_the_wait() -> None:
    play = Play("bob")
    play.register("bob", "python")
    state = play.fleet.states["recovery"].circuits
    state["bob"] = circuits.Circuit("bob", "half-open", since=play.now, tries=1, tried="failed")
    assert play.tick() == ["circuit_opened"]
    assert state["bob"].wait_s == 2 * circuits.OPEN_S
    assert play.tick(circuits.OPEN_S + 1) == []
    assert play.tick(circuits.OPEN_S) == ["circuit_half_opened"]
    assert play.tick(circuits.QUIET_S + 1) == ["circuit_closed"]  # nothing was asked of it, and nothing failed
