"""Costs: whatever an event says, and however full the state is, it takes a bounded number of steps to fold it.

Steps are instructions of Python, which no machine's speed changes. The state is filled to its limits by hand.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from gitcoord.core import limits
from gitcoord.core.commands import Context
from gitcoord.core.duties import wanted
from gitcoord.core.event_types import CONTROL, CORE_EVENTS
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import BUG
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold import quotas
from gitcoord.core.fold.members import MemberRecord
from gitcoord.core.fold.moves import Moves
from gitcoord.core.format.event import Event, Head
from gitcoord.core.liveness import ALIVE, GONE, AgentLiveness
from gitcoord.features import FEATURES, control, paths
from gitcoord.features.agents import roster
from gitcoord.features.autonomy import proposals
from gitcoord.features.conflicts.events import BranchTip, PathConflict
from gitcoord.features.conflicts.state import OPEN_MAX, RecordedConflict
from gitcoord.features.directives import state as directive_state
from gitcoord.features.directives.events import AGENTS_MAX, ContingencyPlan
from gitcoord.features.messages import state as message_state
from gitcoord.features.recovery.state import Loss
from gitcoord.features.reservations.state import PATTERNS_HELD_MAX, Reservation
from gitcoord.features.reviews import PULLS_MAX, VOTES_MAX
from gitcoord.features.reviews.state import Pull, Vote, key
from gitcoord.features.tasks import state as task_state
from gitcoord.features.workflows.file import TASKS_MAX, WorkflowDefinition
from gitcoord.features.workflows.runs import MadeTask, Run
from gitcoord.features.workflows.state import DEFINED_MAX, RUNS_MAX
from gitcoord.simulation.hostile.steps import steps

NOW = "2026-11-21T03:04:05.678Z"
MODELS: dict[str, type[BaseModel]] = {
    **CORE_EVENTS,
    **{type_: model for module in FEATURES.values() for type_, model in module.EVENTS.items()},
}

KEYED = {"agent_admitted", "github_confirmed", "key_changed", "key_revoked"}  # made-up keys and accounts: rejected soon
STEPS_MAX = 1_200_000  # of one event: some 25 ms; a usual one takes 500
DUTIES_STEPS_MAX = 40_000_000  # of one look of the leader at a state that is full everywhere: about a second
AGENTS, AUTHORS = 1000, 12


def uid(number: int) -> str:
    return f"{number:016d}"


def name(number: int) -> str:
    return f"agent{number}"


def task(number: int, **more: Any) -> task_state.Task:
    return task_state.Task(uid(number), f"task {number}", NOW, name(number % AUTHORS), ready=NOW, **more)


def fill_tasks(state: task_state.State) -> None:
    first = task(1)
    state.put(first)
    for number in range(2, task_state.OPEN_MAX):
        waits = [uid(1)] if number <= task_state.DEPENDANTS_MAX else []
        waits += [uid(one) for one in range(2, 201)] if 1 < number - 300 <= 100 else []
        status = task_state.CREATED if waits else task_state.READY
        state.put(task(number, needs=[f"able{number % 50}"], waits=waits, after=waits, status=status, deadline=NOW))
    state.give(first, name(0), at=NOW, position=1, status=task_state.ACCEPTED)
    for number in range(1, 1000):
        state.give(state.tasks[uid(10_000 + number)], name(number % 50), at=NOW, position=1, status=task_state.ASSIGNED)


def fill_reservations(state: Any) -> None:
    numbers = itertools.count()
    wild = "*/" * 3 + "x*y"
    for author in range(PATTERNS_HELD_MAX // quotas.PATTERNS_HELD):
        for number in range(10):
            held = [f"src/{next(numbers)}/" + "a/" * 40 for _ in range(45)]
            held += [f"{wild}{next(numbers)}" for _ in range(5)]
            state.put(
                Reservation(
                    uid(next(numbers)), name(author), f"node{number}", "", held, NOW, "2027-01-01T00:00:00.000Z", ""
                )
            )


def fill_agents(state: roster.State) -> None:
    for number in range(AGENTS):
        needs = [name(other) for other in range(number + 1, min(number + 11, AGENTS))]
        state.agents[name(number)] = roster.Agent(
            name(number),
            uid(number),
            [f"able{one}" for one in range(50)],
            "",
            needs,
            None,
            2,
            "",
            True,
            f"node{number}",
            NOW,
            liveness=GONE if number % 10 == 1 else ALIVE,
        )
    state.__post_init__()


def fill_messages(state: message_state.State) -> None:
    everybody = {name(number): name(number) for number in range(AGENTS)}
    for number in range(message_state.KEPT_MAX):
        said = message_state.StoredMessage(
            uid(number), number + 1, NOW, name(number % AUTHORS), "message", everybody, None
        )
        said.read = dict.fromkeys(everybody)
        said.request_s = 60.0
        state.put(said)
        state.waiting[said.id] = None


def fill_directives(state: directive_state.State) -> None:
    plan = ContingencyPlan(kind="agent", text=name(2))
    for number in range(directive_state.PARTS_MAX // AGENTS_MAX - 1):
        parts = {name(one): directive_state.Part(name(one)) for one in range(AGENTS_MAX)}
        state.open[uid(number)] = directive_state.Directive(
            uid(number),
            number + 1,
            NOW,
            name(number % AUTHORS),
            "x" * 200,
            None,
            "HIGH",
            list(parts),
            60.0,
            plan,
            parts,
        )


def definition(number: int, steps: int = 100) -> WorkflowDefinition:
    after = {f"s{one}": [f"s{before}" for before in range(max(0, one - 15), one)] for one in range(steps)}
    return WorkflowDefinition.model_validate(
        {
            "name": f"w{number}",
            "steps": {
                step: {"title": "x" * 100, "after": before, "when": f"{before[0]}.status == 'done'" if before else None}
                for step, before in after.items()
            },
        }
    )


def fill_workflows(state: Any) -> None:
    one = definition(0)
    for number in range(DEFINED_MAX):
        state.defined[f"w{number}"], state.definers[f"w{number}"] = one, name(number % AUTHORS)
        state.automated[f"w{number}"] = "note"
    for number in range(RUNS_MAX):
        run = Run(uid(number), one, name(number % AUTHORS), NOW)
        run.made = {f"s0#{item}": MadeTask(uid(item), NOW) for item in range(TASKS_MAX if number < 10 else 20)}
        state.runs[run.id] = run
    state.__post_init__()


def fill_autonomy(state: proposals.State) -> None:
    for number in range(proposals.KEPT_MAX - 1 + proposals.FINISHED_MAX):
        status = "pending" if number < proposals.KEPT_MAX - 1 else "lapsed"
        state.proposals[uid(number)] = proposals.Proposal(
            uid(number), "assignment", f"assign:{uid(number)}:1", 1, "note", "x", {}, [], None, name(1), NOW, status
        )
        state.newest[f"assign:{uid(number)}:1"] = uid(number)
    state.__post_init__()


def fill_others(fleet: FleetState) -> None:
    for number in range(OPEN_MAX - 1):
        a, b = (BranchTip(name=f"{side}{number}", commit=side * 40) for side in "ab")
        known = RecordedConflict(
            uid(number), a, b, [PathConflict(path="x", kind="x")], 0, "low", name(number % AUTHORS), NOW
        )
        fleet.states["conflicts"].open[known.id] = known
    fleet.states["conflicts"].__post_init__()
    for number in range(PULLS_MAX):
        votes = {name(one): Vote(name(one), "approve", "", "", NOW) for one in range(VOTES_MAX if number < 9 else 1)}
        fleet.states["reviews"].pulls[key("", number + 1)] = Pull(uid(number), "", number + 1, name(1), votes)
    for number in range(AGENTS):
        fleet.states["recovery"].lost[name(number)] = Loss(NOW, True, "x")
        fleet.members.by_id[name(number)] = MemberRecord(name(number), f"k{number}", 1, True, "admin")


@pytest.fixture(scope="module")
def full() -> FleetState:
    """A fleet that has as much of everything as it may have."""
    fleet = FleetState(FEATURES)
    for feature, fill in {
        "tasks": fill_tasks,
        "reservations": fill_reservations,
        "agents": fill_agents,
        "messages": fill_messages,
        "directives": fill_directives,
        "workflows": fill_workflows,
        "autonomy": fill_autonomy,
    }.items():
        fill(fleet.states[feature])
    fill_others(fleet)
    fleet.members.founded = CORE_EVENTS["fleet_founded"].model_validate({"fleet": "f" * 16})  # type: ignore
    fleet.terms.term, fleet.terms.leader, fleet.terms.session = 1, name(0), "s"
    fleet.position = 1
    fleet.states["conversation"].numbers.append(0)
    return fleet


EXAMPLES = {
    16: uid,
    40: lambda number: NOW,
    58: uid,
    63: lambda number: name(number % AGENTS),
    41: lambda number: f"w{number}",
    250: lambda number: f"branch{number}",
}


def largest(schema: Mapping[str, Any], known: Mapping[str, Any], most: int, numbers: Iterator[int]) -> Any:
    """A value as large as the schema allows, with lists of at most so many."""
    if "$ref" in schema:
        return largest(known[schema["$ref"].rsplit("/", 1)[-1]], known, most, numbers)
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    if "anyOf" in schema:
        return largest(schema["anyOf"][0], known, most, numbers)
    match schema.get("type"):
        case "string" if schema.get("pattern", "").startswith("^(undo"):
            return "s1"
        case "string" if "0-9a-f" in schema.get("pattern", ""):
            return "a" * 40
        case "string" if schema.get("pattern", "").startswith("^[a-z"):
            return f"w{next(numbers)}"
        case "string" if "/" in schema.get("pattern", ""):
            return "owner/repo"
        case "string":
            length = schema.get("maxLength", 100)
            return EXAMPLES.get(length, lambda number: f"x{number}" + "y" * min(length - 12, 40))(next(numbers))
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "array":
            return [largest(schema["items"], known, most, numbers) for _ in range(min(schema["maxItems"], most))]
        case "object" if "properties" in schema:
            return {field: largest(one, known, most, numbers) for field, one in schema["properties"].items()}
        case "object" if schema.get("additionalProperties") is True:
            return {str(number): [number] for number in range(most)}
        case "object":
            inner = schema.get("additionalProperties", {})
            return {f"s{number}": largest(inner, known, min(most, 5), numbers) for number in range(min(most, 50))}
    return None


def of_schema(type_: str) -> dict[str, Any]:
    schema = MODELS[type_].model_json_schema()
    for most in (1000, 600, 300, 100, 50):
        value: dict[str, Any] = largest(schema, schema.get("$defs", {}), most, itertools.count(1))
        if len(json.dumps(value)) < limits.EVENT_BYTES_MAX - 1000:
            return value
    raise AssertionError(type_)


def plain(model: BaseModel) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(model.model_dump_json())
    return value


WORST: Mapping[str, Mapping[str, Any]] = {
    # where another event of the type takes more than the largest one of its schema, or that one is not valid
    "fleet_moved": {"to": "https://" + "x" * 400 + "/" + "y" * 80, "profile": "github"},
    "fleet_arrived": {},
    "paths_reserved": {"paths": [f"a*b?c*d{number}/**/x*" + "?*" * 30 for number in range(50)], "for_s": 60},
    "task_created": {"title": "x", "after": [uid(number) for number in range(2, 202)]},
    "task_finished": {"attempt": 1, "artifacts": [f"a{number}" for number in range(50)]},
    "workflow_defined": {"definition": plain(definition(1))},
    "workflow_started": {"definition": plain(definition(2))},
    "agent_registered": {"depends_on": [name(number) for number in range(900, 950)], "capabilities": ["x"]},
    "config_changed": {
        "set": {
            "leaders": [name(number) for number in range(200)],
            "headings": {f"t{number}": "a" for number in range(200)},
            "review_owners": {f"src/{number}": [name(one) for one in range(20)] for number in range(100)},
        }
    },
    "messages_read": {"upto": 3000, "ids": [uid(number) for number in range(1000)]},
    "messages_acknowledged": {"ids": [uid(number) for number in range(1000)]},
    "conflict_found": {
        "a": {"name": "new", "commit": "c" * 40},
        "b": {"name": "b", "commit": "d" * 40},
        "paths": [{"path": "x", "kind": "x"}],
        "severity": "low",
    },
}


def event(type_: str, data: Mapping[str, Any], number: int, *, term: int | None, content: str = "x" * 300) -> Event:
    line = json.dumps(data).encode() + content.encode()
    return Event(
        interaction=None,
        actor=name(0),
        type=type_,
        content=content,
        timestamp=NOW,
        uid=uid(10**9 + number),
        nonce=uid(number),
        node="node0",
        seq=number,
        prev="p",
        vouch=None,
        re=uid(1),
        to=(),
        term=term,
        data=data,
        key="k",
        sig="s",
        line=line,
        head=Head(number, "h"),
    )


def cost(fleet: FleetState, one: Event) -> tuple[int, str | None]:
    """The steps of an event, and why the core gives it no effect."""
    fleet.members.by_id[name(0)] = MemberRecord(name(0), "k", 1, True, "admin")
    fleet.terms.term, fleet.terms.highest, fleet.terms.leader, fleet.terms.session = 1, 1, name(0), "s"
    fleet.quotas.muted.clear()
    fleet.moves = Moves(uid=one.re or "", to="/x", under_way=one.type == "fleet_arrived")
    paths.compare.cache_clear()
    paths._names_overlap.cache_clear()
    taken: list[SequencedEvent] = []
    count = steps(lambda: taken.append(fleet.apply(one)))
    assert BUG not in (taken[0].void or fleet.refusals.get(one.uid, ""))
    return count, taken[0].void


@pytest.mark.parametrize("type_", [*sorted(MODELS.keys() - CONTROL), "note", "error"])
def test_an_event_takes_a_bounded_number_of_steps(type_: str, full: FleetState) -> None:
    model = MODELS.get(type_)
    data = dict(WORST.get(type_) or (of_schema(type_) if model is not None else {}))
    if model is not None:
        model.model_validate(data)
    found = [cost(full, event(type_, data, full.position, term=term)) for term in (None, 1)]
    assert max(count for count, _ in found) < STEPS_MAX
    assert type_ in KEYED or None in [void for _, void in found], found


@pytest.mark.parametrize("text", ["*workflow:start x" + " " * 60_000 + "y", "*workflow:start " + "x " * 30_000])
def test_what_is_longer_than_any_control_word_is_none_and_is_not_matched_at_all(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_WORD", None)  # to match it may take minutes
    assert control.read(text) is None


def test_what_is_held_is_found_among_thousands(full: FleetState) -> None:
    state = full.states["reservations"]
    path = next(iter(state.held.values())).paths[0]  # an event of another test may have ended some
    folder = "/".join(path.split("/")[:2])
    assert any(path in state.held[one].paths for one in state.index.owners([folder]))
    found: list[Any] = []
    assert steps(lambda: found.append(state.index.owners([f"src/{number}" for number in range(2)]))) < STEPS_MAX


def test_a_look_of_the_leader_takes_a_bounded_number_of_steps(full: FleetState) -> None:
    seen = {
        key: AgentLiveness(one.id, one.liveness, one.node, "s", 99.0, 1.0)
        for key, one in full.states["agents"].agents.items()
    }
    ctx = Context(full, "2026-11-21T09:00:00.000Z", name(0), "node0", liveness=seen)
    found: list[Any] = []
    assert steps(lambda: found.extend(wanted(full, ctx))) < DUTIES_STEPS_MAX
    assert len(found) >= 3 * limits.DUTIES_PER_TICK  # several features had more to say than a tick has room for


def test_the_fixture_is_full(full: FleetState) -> None:
    assert len(full.states["tasks"].tasks) >= task_state.OPEN_MAX - 2
    assert dataclasses.is_dataclass(full.states["tasks"])
