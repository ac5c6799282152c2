"""Workflows: a run goes on from what the ledger holds, whoever leads; conditions, fan-outs, and what is taken back."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from gitcoord.core.commands import Context
from gitcoord.core.duties import wanted
from gitcoord.core.errors import Refused
from gitcoord.features.workflows import commands as workflow_commands
from gitcoord.features.workflows import file as workflow_file
from gitcoord.features.workflows import step_conditions
from gitcoord.features.workflows.commands import WorkflowStatus
from gitcoord.features.workflows.runs import Run
from tests.core.lines import NOW, Story

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("re*.[yt]*ml"))
RELEASE = next(path for path in EXAMPLES if path.name == "release.yaml").read_text(encoding="utf-8")


class Fleet:
    """Alice leads; whoever works is quick. Duties are done until there are none."""

    def __init__(self, *steps: str, name: str = "w") -> None:
        self.story = Story().founded().joined("bob")
        self.terms = itertools.count(2)
        self.story.elect("alice", term=1)
        self.leader, self.term = "alice", 1
        text = f"name: {name}\nsteps:\n" + "\n".join(f"  {step}" for step in steps)
        self.run_id = self.start(text) if steps else ""

    def start(self, text: str) -> str:
        [proposal] = workflow_commands.start(self.ctx(), workflow_commands.StartWorkflow(workflow=text))
        return self.story.say("bob", proposal.type, proposal.content, data=dict(proposal.data)).event.uid

    def ctx(self) -> Context:
        return Context(self.story.fleet, NOW, "bob", "node-bob")

    def lead(self, agent: str) -> None:
        """Another one leads from now on."""
        self.leader, self.term = agent, next(self.terms)
        self.story.elect(agent, term=self.term)

    def tick(self) -> None:
        while duties := [
            duty
            for duty in wanted(self.story.fleet, self.ctx())
            if duty.key not in self.story.fleet.done and duty.type != "task_assigned"
        ]:
            for duty in duties:
                draft = duty.draft(actor=self.leader, term=self.term, timestamp=NOW, uid="0" * 16)
                self.story.say(
                    self.leader,
                    draft.type,
                    draft.content,
                    data=dict(draft.data),
                    term=draft.term,
                    re=draft.re,
                    to=draft.to,
                )

    @property
    def run(self) -> Run:
        found: Run = self.story.fleet.states["workflows"].runs[self.run_id]
        return found

    def open(self) -> list[str]:
        """The titles of the tasks that can be taken."""
        return [task.title for task in self.story.fleet.states["tasks"].tasks.values() if task.status == "ready"]

    def do(self, title: str, result: str = "", *, fail: bool = False) -> None:
        task = next(
            one
            for one in self.story.fleet.states["tasks"].tasks.values()
            if one.title == title and one.status == "ready"
        )
        self.story.say("bob", "task_claimed", re=task.id)
        data: dict[str, Any] = {"attempt": task.attempt, **({"reason": result} if fail else {"result": result})}
        self.story.say("bob", "task_failed" if fail else "task_finished", re=task.id, data=data)
        self.tick()

    def statuses(self) -> dict[str, str]:
        shown = workflow_commands.status(self.ctx(), WorkflowStatus(run=self.run_id))
        return {row["step"]: row["status"] for row in shown["steps"]}


def test_a_step_starts_when_all_before_it_are_done() -> None:
    fleet = Fleet("a: {title: A}", "b: {title: B}", "c: {title: C, after: [a, b]}")
    fleet.tick()
    assert fleet.open() == ["A", "B"]
    fleet.do("A")
    assert fleet.open() == ["B"]
    fleet.do("B")
    assert fleet.open() == ["C"]
    fleet.do("C")
    assert (fleet.run.status, fleet.open()) == ("done", [])


def test_it_survives_the_death_of_its_leader_at_any_moment_and_does_nothing_twice() -> None:
    fleet = Fleet("a: {title: A}", "b: {title: 'B {item}', after: a, for_each: [x, y]}", "c: {title: C, after: b}")
    fleet.tick()
    fleet.lead("bob")
    fleet.tick()
    fleet.do("A")
    fleet.lead("alice")
    fleet.tick()
    assert fleet.open() == ["B x", "B y"]
    fleet.do("B x")
    fleet.lead("bob")
    fleet.do("B y")
    fleet.do("C")
    assert fleet.run.status == "done"
    assert len(fleet.story.fleet.states["tasks"].tasks) == 4


def test_a_fan_out_over_a_result_makes_a_task_for_each_line_and_hands_the_results_on() -> None:
    fleet = Fleet(
        "plan: {title: Plan}",
        "look: {title: 'Look at {item}', after: plan, for_each: plan.result}",
        "sum: {title: Sum, body: '{look.result}', after: look}",
    )
    fleet.tick()
    fleet.do("Plan", "a.py\n\n b.py \n")
    assert fleet.open() == ["Look at a.py", "Look at b.py"]
    fleet.do("Look at a.py", "good")
    fleet.do("Look at b.py", "bad")
    [task] = [one for one in fleet.story.fleet.states["tasks"].tasks.values() if one.title == "Sum"]
    assert task.body == "good\nbad"


def test_a_condition_chooses_and_what_comes_after_the_other_way_is_skipped() -> None:
    steps = (
        "ask: {title: Ask}",
        "go: {title: Go, after: ask, when: \"'yes' in ask.result\"}",
        "then: {title: Then, after: go}",
        "tell: {title: Tell, after: go, when: go.status == 'skipped'}",
    )
    fleet = Fleet(*steps)
    fleet.tick()
    fleet.do("Ask", "no")
    assert fleet.open() == ["Tell"]
    fleet.do("Tell")
    assert fleet.run.status == "done"
    assert fleet.statuses() == {"ask": "done", "go": "skipped", "then": "skipped", "tell": "done"}
    fleet = Fleet(*steps)
    fleet.tick()
    fleet.do("Ask", "yes")
    assert fleet.open() == ["Go"]


def test_a_failure_after_its_retries_takes_back_what_was_done_the_last_first() -> None:
    fleet = Fleet(
        "a: {title: A, undo: {title: Undo A}}",
        "b: {title: B, after: a, undo: {title: Undo B}}",
        "c: {title: C, after: b, retries: 1, undo: {title: Undo C}}",
        "d: {title: D, after: c}",
    )
    fleet.tick()
    fleet.do("A")
    fleet.do("B")
    fleet.do("C", "broken", fail=True)
    assert fleet.open() == ["C"]
    fleet.do("C", "broken", fail=True)
    assert fleet.open() == ["Undo B"]
    fleet.do("Undo B")
    assert fleet.open() == ["Undo A"]
    fleet.do("Undo A")
    assert (fleet.run.status, fleet.run.reason) == ("failed", "c failed")
    assert fleet.statuses() == {"a": "done", "b": "done", "c": "failed", "d": "skipped"}


def test_an_optional_step_and_one_that_is_answered_to_may_fail() -> None:
    fleet = Fleet(
        "a: {title: A, optional: true, retries: 0}",
        "b: {title: B, after: a}",
        "c: {title: C, after: b, retries: 0}",
        "d: {title: D, after: c, when: c.status == 'failed'}",
    )
    fleet.tick()
    fleet.do("A", fail=True)
    fleet.do("B")
    fleet.do("C", fail=True)
    fleet.do("D")
    assert fleet.run.status == "done"


def test_stopped_it_cancels_what_is_open_and_takes_back_what_is_done() -> None:
    fleet = Fleet("a: {title: A, undo: {title: Undo A}}", "b: {title: B, after: a}", "c: {title: C, after: b}")
    fleet.tick()
    fleet.do("A")
    fleet.story.say("bob", "workflow_stopped", data={"reason": "wrong branch"}, re=fleet.run_id)
    fleet.tick()
    assert fleet.open() == ["Undo A"]
    fleet.do("Undo A")
    assert (fleet.run.status, fleet.run.reason) == ("stopped", "wrong branch")
    again = fleet.story.say("bob", "workflow_stopped", re=fleet.run_id).event.uid
    assert fleet.story.fleet.refusals[again] == "this run is not running"


def test_words_and_events_start_what_is_defined_once() -> None:
    fleet = Fleet()
    definition = workflow_file.read("name: w\nsteps: {a: {title: A}}").model_dump(mode="json")
    early = fleet.story.say("bob", "question", "*workflow:start w").event.uid
    assert fleet.story.fleet.refusals[early] == "no workflow 'w' is defined"
    fleet.story.say("bob", "workflow_defined", data={"definition": definition})
    fleet.story.say("bob", "question", "*workflow:start w")
    fleet.story.say("bob", "workflow_automated", data={"name": "w", "on": "merged"})
    fleet.story.say("bob", "merged", "a pull request")
    fleet.tick()
    assert fleet.open() == ["A", "A"]
    assert len(fleet.story.fleet.states["workflows"].runs) == 2
    loop = fleet.story.say("bob", "workflow_automated", data={"name": "w", "on": "task_created"})
    assert "cannot be started by events that workflows write" in (loop.void or "")


def test_what_the_leader_writes_of_a_start_starts_no_other() -> None:
    fleet = Fleet()
    definition = workflow_file.read("name: w\nsteps: {a: {title: A}}").model_dump(mode="json")
    fleet.story.say("bob", "workflow_defined", data={"definition": definition})
    for type_ in ("proposal_made", "error"):
        fleet.story.say("bob", "workflow_automated", data={"name": "w", "on": type_})
        fleet.story.say(
            "alice",
            type_,
            "x",
            term=1,
            data={"kind": "workflow", "occasion": type_, "event": {"type": "workflow_started", "content": "w starts"}},
        )
        assert fleet.story.fleet.states["workflows"].start_requests == {}
    fleet.story.say("bob", "error", "the disk is full")
    assert len(fleet.story.fleet.states["workflows"].start_requests) == 1, "a member's error is news"


def test_only_the_leader_says_how_a_step_ended() -> None:
    fleet = Fleet("a: {title: A}")
    fleet.tick()
    for type_, data in [
        ("workflow_step_ended", {"key": "a", "status": "done", "until": NOW}),
        ("workflow_step_skipped", {"step": "a"}),
        ("workflow_finished", {"status": "done"}),
    ]:
        assert "only the leader" in str(fleet.story.say("bob", type_, data=data, re=fleet.run_id).void)
    fleet.story.say("bob", "task_created", data={"title": "Mine", "workflow": {"run": fleet.run_id, "step": "b"}})
    assert list(fleet.run.made) == ["a"] and fleet.run.status == "running"


def test_rates_and_the_slowest_step_are_shown() -> None:
    fleet = Fleet("a: {title: A}", "b: {title: B, after: a}")
    fleet.tick()
    fleet.do("A")
    shown = workflow_commands.status(fleet.ctx(), WorkflowStatus(run=fleet.run_id[:8]))
    assert (shown["complete"], shown["bottleneck"]["workflow"]) == (0.5, "w")
    fleet.do("B")
    overall = workflow_commands.status(fleet.ctx(), WorkflowStatus())
    assert (overall["done"], overall["completion_rate"]) == (1, 1.0)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_right(path: Path) -> None:
    assert workflow_file.read(path.read_text(encoding="utf-8")).steps


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("after: lint", "after: lnt", "line 13: steps.test.after: no step 'lnt'"),
        ("timeout: 10m", "timeout: 10x", "line 9: steps.lint.timeout: '10x' is no span of time"),
        ("title: Lint the code", "titel: Lint", "line 6: steps.lint.titel: there is no such field; there are: title"),
        ("steps:", "stepz:", "line 4: stepz: there is no such field; there are: name, about, steps"),
        ("after: tag", "after: publish", "line 29: steps.ask.after: the steps wait for each other: "),
        ("ask.result\n", "aks.result\n", "line 36: steps.publish.when: 'aks' is not available"),
        ("ask.status ==", "exit() or ask.status ==", "line 36: steps.publish.when: "),
        ("name: release", "name: release\nname: twice", "line 3: name appears twice"),
        ("steps:", "steps: [", "this is not YAML"),
        ('"{ask.result}"', '"{tell.result}"', "line 42: steps.tell.body: {tell.result} is not available"),
        ('["3.11", "3.12", "3.13"]', "publish.result", "line 14: steps.test.for_each: give a list, or STEP.result"),
        ("name: release", "name: Release!", "line 2: name: "),
        ("after: test", "after: &x test\n    body: *x", "cannot use aliases"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_by_its_line(old: str, new: str, told: str) -> None:
    assert old in RELEASE
    with pytest.raises(Refused) as error:
        workflow_file.read(RELEASE.replace(old, new, 1))
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "w"\n[steps.a]\ntitle = "A"\nretries = -1\n', "line 4: steps.a.retries"),
        ('name = "w"\n[steps.a]\n\ntitle = \n', "this is not TOML"),
        ("x" * 50_000, "at most 40000 bytes"),
        ("", "line 1"),
        ("- a\n- b\n", "line 1"),
    ],
)
def test_other_files_that_are_wrong(text: str, told: str) -> None:
    with pytest.raises(Refused) as error:
        workflow_file.read(text)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("a.status == 'done' and not b.status == 'done'", True),
        ("a.result in 'xyz'", True),
        ("'z' in a.result", False),
        ("a.status != 'done' or b.status == 'failed'", True),
        ("True", True),
        ("c.status == ''", True),
    ],
)
def test_conditions(condition: str, wanted: bool) -> None:
    assert step_conditions.is_met(condition, {"a": ("done", "y"), "b": ("failed", "")}) is wanted


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "a",
        "a.x == 1",
        "f(a.status)",
        "a.status.x",
        "[a.status]",
        "a.status < 'x'",
        "(lambda: 1)()",
        "a.status if 1 else 2",
        "'%s' % a.result",
        "(",
    ],
)
def test_what_is_no_condition_is_never_run(condition: str) -> None:
    with pytest.raises(ValueError, match="not a condition"):
        step_conditions.is_met(condition, {"a": ("done", "")})
