"""Tools: few, small, and true about what they do."""

from __future__ import annotations

import json
import re

import pytest

from gitcoord.core.commands import Command
from gitcoord.core.errors import Refused
from gitcoord.mcp.server import INSTRUCTIONS
from gitcoord.mcp.tools import TOOLS_MAX, tools

TOKENS_MAX = 3100
BYTES_PER_TOKEN = 3.5  # of JSON in English; less than most tokenizers need


def test_all_of_them_are_short_enough_to_be_read_each_time() -> None:
    told = [{"name": one.name, "description": one.description, "inputSchema": one.schema} for one in tools().values()]
    assert len(told) <= TOOLS_MAX
    assert len(json.dumps(told, separators=(",", ":"))) / BYTES_PER_TOKEN < TOKENS_MAX


def test_names_are_a_noun_and_a_verb_and_each_argument_is_described() -> None:
    for tool in tools().values():
        assert re.fullmatch(r"[a-z]+_[a-z]+|next", tool.name)
        properties = tool.schema["properties"]
        assert set(tool.schema["required"]) <= set(properties)
        assert all("description" in one for name, one in properties.items() if name != "action"), tool.name


def test_what_agents_need_is_among_them_and_what_people_decide_is_not() -> None:
    offered = {name for one in tools().values() for name in one.names.values()}
    assert {"agent show", "agent leave", "message list", "workflow list", "workflow defined"} <= offered
    assert not {"directive issue", "autonomy approve", "autonomy reject", "autonomy full", "agent order"} & offered


def test_the_instructions_name_tools_that_there_are() -> None:
    named = re.findall(r"\b[a-z]+_[a-z]+\b", INSTRUCTIONS)
    assert named and set(named) <= set(tools())


def test_hints_are_honest() -> None:
    for tool in tools().values():
        writes = [one for one in tool.actions.values() if isinstance(one, Command)]
        assert tool.read_only == (not writes)
        assert tool.destructive == any(one.destructive for one in writes)


def test_an_action_chooses_the_command_and_its_arguments() -> None:
    reserve = tools()["path_reserve"]
    name, what, rest = reserve.chosen({"action": "release", "ids": ["k3f9"]})
    assert (name, rest) == ("release", {"ids": ["k3f9"]}) and isinstance(what, Command)
    with pytest.raises(Refused, match="give one of reserve, release"):
        reserve.chosen({"action": "steal"})


def test_no_argument_of_a_tool_lets_a_secret_into_the_ledger() -> None:
    """A person may overrule that, on the command line; a model may be talked into it."""
    assert not [name for tool in tools().values() for name in tool.schema["properties"] if "secret" in name]
