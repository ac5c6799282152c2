"""Tools for an AI agent. They are few and coarse: commands that name the same tool become its actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core.commands import Command, Query
from gitcoord.core.errors import Refused
from gitcoord.features import FEATURES

TOOLS_MAX = 12  # a model that is given more tools chooses worse
PAGE = 20  # rows of one answer
STDIN = "; - reads standard input"  # only people have that


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `actions`: the argument `action` → the command or query. A tool with one action has no such argument."""

    name: str
    actions: dict[str, Command | Query] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # action → the command that people type

    @property
    def read_only(self) -> bool:
        return all(isinstance(one, Query) for one in self.actions.values())

    @property
    def destructive(self) -> bool:
        return any(isinstance(one, Command) and one.destructive for one in self.actions.values())

    @property
    def idempotent(self) -> bool:
        return all(isinstance(one, Query) or one.idempotent for one in self.actions.values())

    @property
    def description(self) -> str:
        if len(self.actions) == 1:
            return next(iter(self.actions.values())).help
        return "; ".join(f"{action}: {one.help}" for action, one in self.actions.items())

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments of all actions; each action says which arguments it needs."""
        properties: dict[str, Any] = {}
        required: set[str] | None = None
        for one in self.actions.values():
            schema = one.arguments.model_json_schema()
            for name, value in schema.get("properties", {}).items():
                properties.setdefault(name, _plain(value))
            needed = set(schema.get("required", []))
            required = needed if required is None else required & needed
            if isinstance(one, Query) and one.columns:
                properties["after"] = {"type": "integer", "description": "Rows to leave out: `next` of the last answer"}
        if len(self.actions) > 1:
            properties = {"action": {"enum": list(self.actions)}, **properties}
            required = {"action"} | (required or set())
        return {"type": "object", "properties": properties, "required": sorted(required or ())}

    def chosen(self, raw_args: Mapping[str, Any]) -> tuple[str, Command | Query, dict[str, Any]]:
        """Return the command's name on the command line, the command, and its arguments. Raise Refused."""
        rest = dict(raw_args)
        action = rest.pop("action", None) if len(self.actions) > 1 else next(iter(self.actions))
        if action not in self.actions:
            raise Refused(f"no action {action!r}: give one of {', '.join(self.actions)}")
        return self.names[action], self.actions[action], rest


def tools() -> dict[str, Tool]:
    """Return all tools by name."""
    found: dict[str, Tool] = {}
    for feature in FEATURES.values():
        for name, what in feature.COMMANDS.items():
            if what.tool is not None:
                tool = found.setdefault(what.tool, Tool(what.tool))
                action = _action(name, what.tool)
                tool.actions[action], tool.names[action] = what, name
    return found


def _action(name: str, tool: str) -> str:
    """Return the action's name: `task finish` in `task_update` is `finish`; a command of another noun stays whole."""
    noun, _, verb = name.partition(" ")
    return verb if verb and tool.startswith(f"{noun}_") else name.replace(" ", "_")


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a schema that a model needs. Bounds are left to the command, whose refusal names them."""
    value = {key: one for key, one in schema.items() if key in ("type", "enum", "description")}
    if "description" in value:
        value["description"] = str(value["description"]).removesuffix(STDIN)
    options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(options) == 1:
        value |= _plain(options[0])
    elif options:
        value["anyOf"] = [_plain(one) for one in options]
    if isinstance(schema.get("items"), Mapping):
        value["items"] = _plain(schema["items"])
    return value
