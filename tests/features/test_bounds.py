"""Bounds live in the models: what a command refuses whatever the state, the model of its event refuses as well."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from gitcoord.core.commands import Command
from gitcoord.core.errors import GitcoordError
from gitcoord.core.event_types import CORE_EVENTS
from gitcoord.core.fields import typed
from gitcoord.core.names import is_agent_id
from gitcoord.features import FEATURES
from gitcoord.features.settings import Settings
from gitcoord.features.workflows import file as workflow_file
from tests.features.work import COMMANDS, Work

WRITING = {name: what for name, what in COMMANDS.items() if isinstance(what, Command)}
MODELS: dict[str, type[BaseModel]] = {
    **CORE_EVENTS,
    **{type_: model for module in FEATURES.values() for type_, model in module.EVENTS.items()},
}

DEFINITION = """
name: mine
about: marker about
steps:
  one: {title: marker step, body: marker body, needs: [marker], agent: bob, timeout: 321s, retries: 5}
  two: {title: T, after: one, when: "one.status == 'done'", for_each: [marker item]}
"""

# Arguments for each command, each value so odd that it is found again in what is written. `TASK` and such are ids.
GIVEN: Mapping[str, dict[str, Any]] = {
    "reserve": {"paths": ["marker/path"], "for": 321.0, "why": "marker why"},
    "release": {"ids": ["RESERVATION"]},
    "conflict resolve": {"conflict": "CONFLICT", "why": "marker why"},
    "agent register": {
        "capabilities": ["marker"],
        "role": "marker role",
        "depends_on": ["carol"],
        "backup": "dave",
        "slots": 7,
        "about": "marker about",
    },
    "agent set": {
        "status": "busy",
        "task": "marker task",
        "workload": 0.375,
        "capabilities": ["marker"],
        "role": "marker role",
        "depends_on": ["carol"],
        "backup": "dave",
        "slots": 7,
    },
    "agent admit": {"agent": "bob", "role": "reviewer"},
    "agent admission": {"who": "closed"},
    "agent role": {"agent": "bob", "role": "guest"},
    "agent expel": {"agent": "bob", "reason": "marker why"},
    "agent revoke": {"key": "bob", "after": 7},
    "agent confirm": {"agent": "bob", "github": "marker-login"},
    "agent mute": {"agent": "carol", "for": 321.0, "why": "marker why"},
    "agent unmute": {"agent": "dave"},
    "agent leave": {},
    "next": {"claim": True},
    "task create": {
        "title": "marker title",
        "body": "marker body",
        "needs": ["marker"],
        "priority": "HIGH",
        "deadline": "2030-01-01T00:00:00.000Z",
        "after": ["TASK"],
        "attempts": 7,
        "time_limit": 321.0,
        "agent": "carol",
        "data": {"marker": 1},
        "key": "marker key",
        "again": True,
    },
    "task claim": {"task": "TASK"},
    "task start": {"task": "MINE", "attempt": 1, "branch": "marker/branch", "pull_request": 321},
    "task progress": {
        "task": "MINE",
        "share": 0.375,
        "text": "marker text",
        "attempt": 1,
        "branch": "marker/branch",
        "pull_request": 321,
    },
    "task finish": {
        "task": "MINE",
        "result": "marker result",
        "artifact": ["marker/artifact"],
        "attempt": 1,
        "branch": "marker/branch",
        "pull_request": 321,
    },
    "task edit": {
        "task": "TASK",
        "title": "marker title",
        "body": "marker body",
        "needs": ["marker"],
        "priority": "HIGH",
        "deadline": "2030-01-01T00:00:00.000Z",
        "branch": "marker/branch",
        "pull_request": 321,
    },
    "task label": {"task": "TASK", "add": ["marker"], "remove": ["other marker"]},
    "task comment": {"task": "TASK", "text": "marker text"},
    "task reopen": {"task": "OVER", "reason": "marker reason"},
    "task fail": {"task": "MINE", "reason": "marker reason", "attempt": 1},
    "task release": {"task": "MINE", "reason": "marker reason", "attempt": 1},
    "task reassign": {"task": "MINE", "agent": "carol", "reason": "marker reason"},
    "task cancel": {"task": "TASK", "reason": "marker reason"},
    "message send": {
        "text": "marker text",
        "to": ["carol"],
        "priority": "HIGH",
        "expires": 321.0,
        "data": {"marker": 1},
    },
    "message broadcast": {"text": "marker text", "priority": "HIGH", "expires": 321.0, "data": {"marker": 1}},
    "message request": {"text": "marker text", "to": ["carol"], "priority": "HIGH", "within": 321.0},
    "message reply": {"message": "MESSAGE", "text": "marker text", "priority": "HIGH", "data": {"marker": 1}},
    "message ack": {"messages": ["MESSAGE"]},
    "message read": {"messages": ["MESSAGE"]},
    "directive issue": {
        "text": "marker text",
        "to": ["carol"],
        "priority": "HIGH",
        "ack": ["carol"],
        "ack_within": 321.0,
        "on_failure": "task marker plan",
    },
    "directive ack": {"directive": "DIRECTIVE"},
    "directive done": {"directive": "DIRECTIVE", "result": "marker result"},
    "directive fail": {"directive": "DIRECTIVE", "reason": "marker reason"},
    "directive withdraw": {"directive": "ISSUED", "reason": "marker reason"},
    "workflow start": {"workflow": DEFINITION},
    "workflow stop": {"run": "RUN", "why": "marker why"},
    "workflow define": {"file": DEFINITION},
    "workflow auto": {"name": "known", "on": "merged"},
    "autonomy approve": {"all": True},
    "autonomy reject": {"all": True, "why": "marker why"},
    "autonomy full": {"approvers": "admins"},
    "autonomy supervised": {"approvers": "admins"},
    "autonomy manual": {"approvers": "admins"},
    "review vote": {"pr": 7, "verdict": "approve", "repo": "marker/repo", "commit": "a" * 40, "why": "marker why"},
    "review request": {"pr": 7, "repo": "marker/repo", "to": ["carol"], "why": "marker why"},
}

TOO_LONG = "x" * 66_000
TEXTS = (
    TOO_LONG,
    "x" * 3000,
    "x" * 501,
    "x" * 201,
    "x" * 101,
    "x" * 64,
    "",
    "a\0b",
    "a\nb",
    "a\tb",
    "a\x1b[31m",
    "a\x7fb",
    "a\x85b",
    "a\u202eb",
    "a\u2066b",
    "a\u200bb",
    "a\u2028b",
    "a\ufeffb",
    "a\U000e0041b",
    "a\ufffeb",
    "a\ud800b",
    "../x",
    "/x",
    "a//b",
    "a\\b",
    "*/" * 60 + "x",
    "No Type",
    "no id!",
    "-",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00",
    "many words",
    "A.status ==",
)
NUMBERS = (float("inf"), float("-inf"), float("nan"), -1, 0, 1e308, 10**400, 2**63, 65, 101, 1.5)


@pytest.fixture
def work() -> Work:
    work = Work(bob=["marker"], carol=["marker"], dave=[])
    work.say("alice", "agent_muted", agent="dave")
    return work


def ids(work: Work) -> dict[str, str]:
    """Things of each kind, so that every command has what it is about."""
    issue = {"agents": ["alice"], "priority": "LOW"}
    conflict = {
        "a": {"name": "a", "commit": "a" * 40},
        "b": {"name": "b", "commit": "b" * 40},
        "paths": [{"path": "x", "kind": "content"}],
        "severity": "low",
    }
    work.do("alice", "agent register")
    mine = work.create()
    work.do("alice", "task claim", task=mine)
    work.do("alice", "workflow define", file="name: known\nsteps: {a: {title: A}}")
    event = {"type": "error", "content": "x"}
    say = work.story.say
    say("alice", "proposal_made", "proposes", data={"kind": "assignment", "occasion": "x", "event": event}, term=1)
    over = work.create()
    work.do("alice", "task cancel", task=over)
    return {
        "TASK": work.create(),
        "OVER": over,
        "MINE": mine,
        "RESERVATION": work.do("alice", "reserve", paths=["held"]),
        "CONFLICT": say("alice", "conflict_found", data=conflict).event.uid,
        "MESSAGE": say("carol", "message", "hello", to=("alice",)).event.uid,
        "DIRECTIVE": say("carol", "directive_issued", "do it", data=issue).event.uid,
        "ISSUED": say("alice", "directive_issued", "do it", data={"agents": ["carol"]}).event.uid,
        "RUN": work.do("alice", "workflow start", workflow="known"),
    }


def placed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [placed(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from leaves(one, (*path, key))
    elif isinstance(value, (list, tuple)) and value:
        for number, one in enumerate(value):
            yield from leaves(one, (*path, number))
    else:
        yield path, value


def put(data: Any, path: Path, value: Any) -> Any:
    """A copy of `data` with another value at a place."""
    new = copy.deepcopy(data)
    inner = new
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return new


def of_field(given: Any, data: Mapping[str, Any]) -> list[Path]:
    """Where what was given stands in what is written."""
    wanted = [str(one).lower() for _, one in leaves(given)]
    found = [path for path, one in leaves(data) if str(one).lower() in wanted]
    if not found and isinstance(given, str):  # a part of it, such as the title in a plan
        found = [path for path, one in leaves(data) if isinstance(one, str) and len(one) > 5 and one in given]
    return found


def may_depend_on_state(path: Path, bad: Any) -> bool:
    """Whether it may be refused only for whom, or which attempt, it names: nobody of that name is there."""
    if "after" in path and type(bad) is int:
        return bad >= 1  # a revocation names a position that is there
    if "attempt" in path:
        return type(bad) is int and 1 <= bad <= 100
    if "after" in path:
        return type(bad) is int and bad > 0
    named = {"agent", "agents", "backup", "depends_on", "acknowledge"}
    is_known = isinstance(bad, str) and (is_agent_id(bad) or (path[-1] == "backup" and not bad))
    return is_known and not named.isdisjoint(path)


def refuses(what: Command, work: Work, given: Mapping[str, Any]) -> bool:
    try:
        what.decide(work.ctx("alice"), what.arguments.model_validate(given))
    except (GitcoordError, ValidationError, ValueError):
        return True
    return False


def test_each_command_is_tried() -> None:
    assert GIVEN.keys() == WRITING.keys()
    for name, what in WRITING.items():
        aliases = {one.alias or field for field, one in what.arguments.model_fields.items()}
        assert GIVEN[name].keys() <= aliases, name


@pytest.mark.parametrize("name", WRITING)
def test_what_it_refuses_whatever_the_state_the_model_of_its_event_refuses(name: str, work: Work) -> None:
    what, names = WRITING[name], ids(work)
    given = {field: placed(value, names) for field, value in GIVEN[name].items()}
    proposals = what.decide(work.ctx("alice"), what.arguments.model_validate(given))
    assert proposals or name == "next"  # alice has a task; it writes what `task claim` writes
    for proposal in proposals:
        typed(MODELS[proposal.type], proposal.content, proposal.data)
        for field, value in given.items():
            for path in of_field(value, proposal.data):
                for bad in TEXTS if isinstance(value, (str, list)) else NUMBERS:
                    old = dict(leaves(proposal.data))[path]
                    part = isinstance(value, str) and isinstance(old, str) and old != value and old in value
                    worse = put(
                        given, (field, *[0] * isinstance(value, list)), value.replace(old, bad) if part else bad
                    )
                    if isinstance(value, dict) or "definition" in path or may_depend_on_state(path, bad):
                        continue
                    if not refuses(what, work, worse):
                        continue
                    with pytest.raises(ValueError):
                        typed(MODELS[proposal.type], proposal.content, put(proposal.data, path, bad))
                        pytest.fail(f"{proposal.type}.{path} may be {str(bad)[:40]!r}, which {name} refuses")


def test_what_is_refused_in_a_workflows_file_is_refused_by_the_fold(work: Work) -> None:
    known = json.loads(workflow_file.read(DEFINITION).model_dump_json(exclude_defaults=True))
    tried = 0
    for path, value in leaves(known):
        for bad in TEXTS if isinstance(value, str) else NUMBERS:
            worse = put(known, path, bad)
            try:
                workflow_file.read(yaml.safe_dump(worse))
            except GitcoordError:
                tried += 1
                if "\ud800" in str(bad) or len(str(worse)) > 60_000 or bad in (10**400, 2**63, 1e308):
                    continue  # no line holds it
                if bad in (float("inf"), float("-inf")) or bad != bad:
                    with pytest.raises(ValueError):
                        typed(MODELS["workflow_defined"], "", {"definition": worse})
                    continue
                for type_ in ("workflow_defined", "workflow_started"):
                    assert work.say("bob", type_, definition=worse), (type_, path, bad)
    assert tried > 100


def test_settings_are_judged_one_by_one_by_the_same_model(work: Work) -> None:
    from gitcoord.features.settings import changed

    settings = work.story.fleet.states["settings"].settings
    for name, field in Settings.model_fields.items():
        for bad in (*TEXTS, *NUMBERS, [TOO_LONG], ["a\0b"], {"a": TOO_LONG}, {"\0": "x"}, {"../x": ["bob"]}):
            try:
                new = changed(settings, name, bad)
            except GitcoordError:
                continue
            assert "literal" in str(field.annotation).lower() or len(str(getattr(new, name))) < 100, (name, bad)


# Every field of every event has its bounds


def fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    schema = model.model_json_schema()
    yield from _inner(schema, schema.get("$defs", {}), path or model.__name__)


def _inner(schema: Mapping[str, Any], known: Mapping[str, Any], path: str) -> Iterator[Any]:
    if "$ref" in schema:
        schema = known[schema["$ref"].rsplit("/", 1)[-1]]
    yield path, schema, known
    for one in schema.get("anyOf", ()):
        yield from _inner(one, known, path)
    if "items" in schema:
        yield from _inner(schema["items"], known, f"{path}[]")
    for name, one in schema.get("properties", {}).items():
        yield from _inner(one, known, f"{path}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _inner(schema["additionalProperties"], known, f"{path}.*")


@pytest.mark.parametrize("type_", MODELS)
def test_every_text_list_and_number_of_an_event_is_bounded(type_: str) -> None:
    for path, schema, _ in fields(MODELS[type_]):
        match schema.get("type"):
            case "string":
                assert schema.keys() & {"maxLength", "enum", "const", "pattern"}, path
                assert "pattern" not in schema or "maxLength" in schema or "{" in schema["pattern"], path
            case "array":
                assert "maxItems" in schema, path
            case "integer" | "number":
                assert schema.keys() & {"maximum", "exclusiveMaximum"}, path
                assert schema.keys() & {"minimum", "exclusiveMinimum"}, path
            case "object" if "properties" not in schema:  # a JSON object of its author's own, or one by names
                assert schema.get("additionalProperties") is True or "maxProperties" in schema, path


@pytest.mark.parametrize("type_", MODELS)
def test_no_event_holds_a_number_that_is_not_finite_nor_nul(type_: str) -> None:
    assert MODELS[type_].model_config.get("allow_inf_nan") is False
    for field_name, field in MODELS[type_].model_fields.items():
        with pytest.raises(ValidationError) as wrong:
            MODELS[type_].model_validate({field_name: "a\0b"})
        assert any(one["loc"][:1] == (field_name,) for one in wrong.value.errors()), field_name


@pytest.mark.parametrize(
    ("type_", "path", "data"),
    [
        ("task_created", "title", {"title": ""}),
        ("agent_registered", "role", {}),
        ("agent_registered", "capabilities.0", {"capabilities": [""]}),
        ("paths_reserved", "paths.0", {"paths": ["x"], "for_s": 1}),
        ("paths_reserved", "place", {"paths": ["x"], "for_s": 1}),
        ("task_finished", "artifacts.0", {"attempt": 1, "artifacts": [""]}),
        ("workflow_defined", "definition.steps.a.title", {"definition": {"name": "w", "steps": {"a": {"title": ""}}}}),
        (
            "conflict_found",
            "a.name",
            {
                "a": {"name": "", "commit": "a" * 40},
                "b": {"name": "b", "commit": "b" * 40},
                "paths": [{"path": "x", "kind": "x"}],
                "severity": "low",
            },
        ),
        ("directive_issued", "plan.text", {"agents": ["bob"], "plan": {"kind": "task", "text": ""}}),
    ],
)
def test_what_names_something_holds_nothing_unseen(type_: str, path: str, data: dict[str, Any]) -> None:
    place: Path = tuple(int(one) if one.isdigit() else one for one in path.split("."))
    for bad in TEXTS[7:21]:
        with pytest.raises(ValueError):
            typed(MODELS[type_], "", put(data, place, bad))
            pytest.fail(f"{bad!r} in {path}")
    for good in ("a", "Größe", "名前", "שם", "🏳️‍🌈", "a b.c-d_e"):
        typed(MODELS[type_], "", put(data, place, good))


def test_free_text_may_hold_lines_and_what_is_unseen_but_nul(work: Work) -> None:
    for text in ("a\nb", "a\tb", "\u202e", "\x1b[31m"):
        typed(MODELS["task_created"], text, {"title": "x", "body": text})
    for text in ("a\0b", "a\ud800b"):
        with pytest.raises(ValueError):
            typed(MODELS["task_created"], "", {"title": "x", "body": text})
        with pytest.raises(ValueError):
            typed(None, text, {})
