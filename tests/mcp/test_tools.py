"""Tools: few, small, and true about what they do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import fastjsonschema
import jsonschema
import pytest

from gitcoord.core.commands import Command
from gitcoord.core.errors import Refused
from gitcoord.mcp import schemas
from gitcoord.mcp.answers import RECEIPT_FIELDS
from gitcoord.mcp.calls import MAY_BE_OLD
from gitcoord.mcp.server import INSTRUCTIONS
from gitcoord.mcp.tools import HIDDEN, TOOLS_MAX, Tool, in_tool_words, tools
from gitcoord.node.operations import submit

TOKENS_MAX = 3000
BYTES_PER_TOKEN = 3.5  # of JSON in English; less than most tokenizers need


def test_all_of_them_are_short_enough_to_be_read_each_time() -> None:
    told = [{"name": one.name, "description": one.description, "inputSchema": one.schema} for one in tools().values()]
    assert len(told) <= TOOLS_MAX
    assert len(json.dumps(told, separators=(",", ":"))) / BYTES_PER_TOKEN < TOKENS_MAX


def test_names_are_a_noun_and_a_verb_and_each_argument_is_described() -> None:
    for tool in tools().values():
        assert re.fullmatch(r"next|conflicts|[a-z]+(_[a-z]+)+", tool.name)
        properties = tool.schema["properties"]
        assert set(tool.schema["required"]) <= set(properties)
        assert all("description" in one for name, one in properties.items() if name != "action"), tool.name


def test_what_agents_need_is_among_them_and_what_people_decide_is_not() -> None:
    offered = {name for one in tools().values() for name in one.names.values()}
    assert {"agent show", "agent leave", "message list", "workflow list", "workflow defined"} <= offered
    assert not {"directive issue", "autonomy approve", "autonomy reject", "autonomy full", "agent order"} & offered


def test_the_instructions_name_tools_that_there_are() -> None:
    named = re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", INSTRUCTIONS)
    assert "wait_for_news" in named and set(named) <= set(tools())


def test_refusals_name_tools_in_place_of_commands() -> None:
    said = {
        "no task 'x': `gitcoord task list --all` lists them": "the tool task_show, action list lists them",
        "run `gitcoord task claim k3f97hq2` first": "run the tool task_update, action claim (k3f97hq2) first",
        "`gitcoord ready` and `gitcoord next --claim`": "the tool task_show, action ready and the tool next",
        "`gitcoord verify` finds it": "`gitcoord verify` finds it",
        "`gitcoord releases`": "`gitcoord releases`",
    }
    for before, after in said.items():
        assert in_tool_words(before).endswith(after), in_tool_words(before)


def test_hints_are_honest() -> None:
    for tool in tools().values():
        writes = [one for one in tool.actions.values() if isinstance(one, Command)]
        assert tool.read_only == (not writes)
        assert tool.destructive == any(one.destructive for one in writes)


def test_two_validators_take_all_schemas_and_the_arguments_that_they_describe() -> None:
    for tool in tools().values():
        validator = jsonschema.Draft202012Validator
        validator.check_schema(tool.schema)
        compiled = fastjsonschema.compile({"$schema": "http://json-schema.org/draft-07/schema#", **tool.schema})
        for action, schema in tool.schemas.items():
            whole = {name: example(one) for name, one in schema["properties"].items()}
            least = {name: whole[name] for name in schema["required"]}
            for given in (whole, least):
                given = given if len(tool.actions) == 1 else {"action": action, **given}
                validator(tool.schema).validate(given)
                compiled(given)
        for wrong in ([], {"action": 7}, {name: {"x": [None]} for name in tool.schema["properties"]}):
            if tool.schema["properties"] and (wrong != {"action": 7} or len(tool.actions) > 1):
                assert not validator(tool.schema).is_valid(wrong)
                with pytest.raises(fastjsonschema.JsonSchemaValueException):
                    compiled(wrong)


def test_no_schema_has_what_some_providers_refuse() -> None:
    """Gemini wants a type beside each enum, and items in each list; several refuse a union at the top."""
    for tool in tools().values():
        assert tool.schema["type"] == "object" and not {"anyOf", "oneOf", "allOf", "$defs", "$ref"} & set(tool.schema)
        for name, one in tool.schema["properties"].items():
            assert one["type"] in ("string", "integer", "number", "boolean", "array", "object"), (tool.name, name)
            assert set(one) <= {"type", "enum", "items", "description"}, (tool.name, name)
            assert ("items" in one) == (one["type"] == "array") and "type" in one.get("items", {"type": ""})
            assert one.get("enum") is None or one["type"] == "string"


def test_spans_are_texts_as_people_type_them() -> None:
    spans = [
        (name, tool.schema["properties"][field.alias or key])
        for tool in tools().values()
        for action, name in tool.names.items()
        for key, field in tool.actions[action].arguments.model_fields.items()
        if schemas.is_span(field) and (field.alias or key) not in HIDDEN.get(name, ())
    ]
    assert {"reserve", "message request"} <= {name for name, _ in spans}
    for name, one in spans:
        assert one["type"] == "string" and "15m" in one["description"], name


def test_each_argument_says_which_actions_take_and_need_it() -> None:
    shown = {name: one["description"] for name, one in tools()["task_update"].schema["properties"].items()}
    assert shown["share"].startswith("[progress] ") and shown["reason"].startswith("[fail, release, cancel]")
    assert not shown["task"].startswith("[") and "task" in tools()["task_update"].schema["required"]
    assert tools()["task_show"].schema["properties"]["task"]["description"].startswith("[show, explain]* ")
    for tool in tools().values():
        for name, one in tool.schema["properties"].items():
            takers = {action for action, its in tool.schemas.items() if name in its["properties"]}
            if name not in ("action", "after") and takers != set(tool.actions):
                told = re.findall(r"\[(not )?([^\]]*)\]", one["description"])
                assert told, (tool.name, name)
                named = {word.rstrip("*") for _, words in told for word in words.split(", ")}
                if named <= set(tool.actions):
                    assert (set(tool.actions) - named if told[0][0] else named) == takers, (tool.name, name)
                else:  # all of one noun
                    assert {one for one in tool.actions if one.startswith(words_of(named))} == takers


def words_of(named: set[str]) -> str:
    [noun] = named
    return noun.removesuffix("…")


def test_what_a_tool_hides_is_an_argument_of_an_offered_command() -> None:
    offered = {name: tool.actions[action] for tool in tools().values() for action, name in tool.names.items()}
    assert {*MAY_BE_OLD, *RECEIPT_FIELDS} <= set(offered)
    for name, hidden in HIDDEN.items():
        known = {field.alias or key for key, field in offered[name].arguments.model_fields.items()}
        assert set(hidden) <= known, name


@pytest.mark.parametrize("tool", tools().values(), ids=lambda tool: str(tool.name))
def test_whatever_a_model_left_out_may_be_null(tool: Tool) -> None:
    for action, schema in tool.schemas.items():
        given = {name: example(schema["properties"][name]) for name in schema["required"]}
        nulls = dict.fromkeys(tool.schema["properties"])
        _, _, rest = tool.chosen({**nulls, **given, "action": action} if len(tool.actions) > 1 else {**nulls, **given})
        assert rest == given


@pytest.mark.parametrize("action", ["Reserve", " reserve ", "RESERVE"])
def test_values_are_understood_where_they_are_beyond_doubt(action: str) -> None:
    reserve = tools()["path_reserve"]
    for paths in ("src/**", ["src/**"], '["src/**"]', [None, "src/**"]):
        _, what, rest = reserve.chosen({"action": action, "paths": paths, "for": 7200})
        asked = submit.arguments(what, rest)
        assert (asked.paths, asked.for_s) == (["src/**"], 7200.0)  # type: ignore[attr-defined]
    _, what, rest = tools()["task_create"].chosen(
        {"title": "t", "priority": "high", "needs": "python,rust", "after": 3, "data": '{"a": 1}', "attempts": "2"}
    )
    asked = submit.arguments(what, rest)
    assert asked.model_dump(include={"priority", "needs", "after", "data", "attempts"}) == {
        "priority": "HIGH",
        "needs": ["python", "rust"],
        "after": ["3"],
        "data": {"a": 1},
        "attempts": 2,
    }
    _, what, rest = tools()["task_show"].chosen({"action": "list", "all": "true", "status": "DONE"})
    assert submit.arguments(what, rest).model_dump(include={"all", "status"}) == {"all": True, "status": "done"}
    for path in ('["src/**', "[a]", "{x}", "[]x", "5"):  # names of paths, though they begin like JSON
        assert reserve.chosen({"action": "reserve", "paths": path})[2] == {"paths": [path]}


def test_an_argument_of_another_action_is_refused_with_its_owner() -> None:
    reserve = tools()["path_reserve"]
    with pytest.raises(Refused, match=r"'ids' is an argument of release only: reserve takes paths \(needed\)"):
        reserve.chosen({"action": "reserve", "paths": ["x"], "ids": ["k3"]})
    with pytest.raises(Refused, match="'pfad' is no argument of this tool: task_create takes title"):
        tools()["task_create"].chosen({"pfad": "x"})
    with pytest.raises(Refused, match="no action is given: give `action`, one of reserve, release"):
        reserve.chosen({"action": None})


def example(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][-1]
    kinds = {"string": "x", "integer": 3, "number": 0.5, "boolean": True, "object": {"a": 1}, "array": ["x"]}
    return kinds[schema["type"]]


def test_an_action_chooses_the_command_and_its_arguments() -> None:
    reserve = tools()["path_reserve"]
    name, what, rest = reserve.chosen({"action": "release", "ids": ["k3f9"]})
    assert (name, rest) == ("release", {"ids": ["k3f9"]}) and isinstance(what, Command)
    with pytest.raises(Refused, match="no action 'steal': give `action`, one of reserve, release"):
        reserve.chosen({"action": "steal"})


def test_no_argument_of_a_tool_lets_a_secret_into_the_ledger() -> None:
    """A person may overrule that, on the command line; a model may be talked into it."""
    assert not [name for tool in tools().values() for name in tool.schema["properties"] if "secret" in name]
