"""Tools for an AI agent. They are few and coarse: commands that name the same tool become its actions."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core.commands import Command, Query
from gitcoord.core.errors import Refused
from gitcoord.features import FEATURES
from gitcoord.mcp import schemas
from gitcoord.mcp.arguments import chosen_action, normalized, shown
from gitcoord.mcp.own_tools import OWN, Own
from gitcoord.mcp.schemas import Schema

TOOLS_MAX = 12  # with more tools, a model chooses worse
FIRST = ("next", "wait_for_news", "conflicts")
PAGE = 10  # rows of one answer
HIDDEN = {  # arguments that a working model does not need: each one that it sees costs tokens at every turn
    "agent register": ("role", "depends_on", "backup", "about", "accept_assignments"),
    "agent set": ("role", "depends_on", "backup", "github", "workload", "agent"),
    "agent leave": ("agent",),
    "agent list": ("registered",),
    "directive list": ("status", "agent"),
    "inbox": ("interaction", "priority", "order"),
    "message broadcast": ("data", "expires"),
    "message list": ("interaction", "priority", "to"),
    "message reply": ("data", "priority"),
    "message request": ("data", "expires"),
    "message send": ("data", "expires"),
    "reservations": ("id",),
    "reserve": ("branch",),
    "review vote": ("repo",),
    "task create": ("attempts", "data", "time_limit", "from", "again"),
    "task fail": ("attempt",),
    "task finish": ("attempt", "branch", "pull_request"),
    "task list": ("needs", "status"),
    "task progress": ("attempt", "pull_request", "branch"),
    "task release": ("attempt",),
    "task start": ("attempt", "pull_request", "branch"),
    "workflow list": ("all",),
}

_COMMAND = re.compile(r"`gitcoord ([^`\n]{1,200})`")


@dataclass(frozen=True)
class Tool:
    """A tool. `actions`: the argument `action` → the command or query. A tool with one action has no such argument."""

    name: str
    actions: dict[str, Command | Query | Own] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # action → the command that people type

    @property
    def read_only(self) -> bool:
        return all(not isinstance(one, Command) for one in self.actions.values())

    @property
    def destructive(self) -> bool:
        return any(isinstance(one, Command) and one.destructive for one in self.actions.values())

    @property
    def idempotent(self) -> bool:
        return all(not isinstance(one, Command) or one.idempotent for one in self.actions.values())

    @property
    def description(self) -> str:
        if len(self.actions) == 1:
            return next(iter(self.actions.values())).help
        return "; ".join(f"{action}: {one.help}" for action, one in self.actions.items())

    @functools.cached_property
    def schemas(self) -> dict[str, Schema]:
        """Return the JSON Schema of the arguments of each action."""
        return {
            action: schemas.of_model(
                one.arguments,
                pages=bool(isinstance(one, Query) and one.columns),
                hidden=HIDDEN.get(self.names[action], ()),
            )
            for action, one in self.actions.items()
        }

    @functools.cached_property
    def schema(self) -> Schema:
        return schemas.of_tool(self.schemas)

    def chosen(self, raw_args: Mapping[str, Any]) -> tuple[str, Command | Query | Own, dict[str, Any]]:
        """Return the command's name on the command line, the command, and its arguments. Raise Refused."""
        rest = dict(raw_args)
        action: str | None = next(iter(self.actions))
        if len(self.actions) > 1:
            asked = rest.pop("action", None)
            action = chosen_action(asked, self.actions)
            if action is None:
                wrong = "no action is given" if asked is None else f"no action {shown(str(asked))}"
                raise Refused(f"{wrong}: give `action`, one of {', '.join(self.actions)}")
        assert action is not None
        properties = schemas.of_model(self.actions[action].arguments, pages=True)["properties"]
        rest = normalized(rest, properties)
        shown_ones = self.schemas[action]["properties"]
        for name in rest:
            if name not in shown_ones and name not in HIDDEN.get(self.names[action], ()):
                raise Refused(self._no_argument(name, action))
        return self.names[action], self.actions[action], rest

    def _no_argument(self, name: str, action: str) -> str:
        """Return what is wrong with an argument that the action does not take, and what it takes."""
        schema = self.schemas[action]
        takes = [f"{one} (needed)" if one in schema["required"] else one for one in schema["properties"]]
        others = [one for one, its in self.schemas.items() if name in its["properties"]]
        whose = f"an argument of {', '.join(others)} only" if others else "no argument of this tool"
        called = action if len(self.actions) > 1 else self.name
        return f"{shown(name)} is {whose}: {called} takes {', '.join(takes) or 'no argument'}"


@functools.cache
def tools() -> dict[str, Tool]:
    """Return all tools by name, those that say what to do now first."""
    found: dict[str, Tool] = {}
    features = (item for feature in FEATURES.values() for item in feature.COMMANDS.items())
    for name, what in (*features, *OWN.items()):
        if what.tool is not None:
            tool = found.setdefault(what.tool, Tool(what.tool))
            action = _action(name, what.tool)
            tool.actions[action], tool.names[action] = what, name
    return {name: found[name] for name in (*FIRST, *found) if name in found}


def in_tool_words(text: str) -> str:
    """Return `text` with tools instead of commands, because a model may have no command line."""
    return _COMMAND.sub(lambda found: _tool_words(found[1]) or found[0], text)


def _tool_words(line: str) -> str | None:
    """Return the tool and action that do what a command line does; None if no tool does."""
    for tool in tools().values():
        for action, name in tool.names.items():
            if line == name or line.startswith(f"{name} "):
                given = [word for word in line.removeprefix(name).split() if not word.startswith("-")]
                which = f", action {action}" if len(tool.actions) > 1 else ""
                return f"the tool {tool.name}{which}" + (f" ({' '.join(given)})" if given else "")
    return None


def _action(name: str, tool: str) -> str:
    """Return the action's name: `task finish` in `task_update` is `finish`; a command of another noun stays whole."""
    noun, _, verb = name.partition(" ")
    return verb if verb and tool.startswith(f"{noun}_") else name.replace(" ", "_")
