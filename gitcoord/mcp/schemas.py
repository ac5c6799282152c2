"""Schemas: the arguments of a tool as a model sees them, each with the actions that take it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gitcoord.core.fields import READS_SPAN, markers

LEFT_OUT = (  # of descriptions: only people need these words
    "; - reads standard input",
    ", its beginning, or its event's position",
    " or positions",
)
SPANS = "15m, 2h"
AFTER = {"type": "integer", "description": "Rows to skip: `next` of the last answer"}
ACTION = "[x] is for x only; *: needed"

Schema = dict[str, Any]


def of_model(model: type[BaseModel], *, pages: bool, hidden: Collection[str] = ()) -> Schema:
    """Return the JSON Schema of the arguments of one action, without the hidden ones.

    `pages`: the action returns rows, a page at a time.
    """
    schema = model.model_json_schema()
    spans = {field.alias or name for name, field in model.model_fields.items() if is_span(field)}
    properties = {
        name: _plain({**value, **({"type": "string", "anyOf": []} if name in spans else {})}, is_span=name in spans)
        for name, value in schema.get("properties", {}).items()
        if name not in hidden
    }
    if pages:
        properties.setdefault("after", AFTER)
    return {"type": "object", "properties": properties, "required": sorted(schema.get("required", []))}


def is_span(field: FieldInfo) -> bool:
    return READS_SPAN in markers(field)


def of_tool(actions: Mapping[str, Schema]) -> Schema:
    """Return the JSON Schema of a tool. Each argument's description names its actions, unless all of them take it."""
    if len(actions) == 1:
        return next(iter(actions.values()))
    names = dict.fromkeys(name for one in actions.values() for name in one["properties"])
    needed = {name for name in names if all(name in one["required"] for one in actions.values())}
    properties = {name: _shared(name, actions, of_all=name in needed) for name in names}
    action = {"type": "string", "enum": list(actions), "description": ACTION}
    return {"type": "object", "properties": {"action": action, **properties}, "required": ["action", *sorted(needed)]}


def _shared(name: str, actions: Mapping[str, Schema], *, of_all: bool) -> Schema:
    """Return the schema of an argument that some actions take."""
    takers = {action: one["properties"][name] for action, one in actions.items() if name in one["properties"]}
    if name == "after" and all(one is AFTER for one in takers.values()):
        return {**AFTER, "description": f"[lists] {AFTER['description']}"}
    told: dict[str, list[str]] = {}
    for action, one in takers.items():
        told.setdefault(one["description"], []).append(action)
    needs = set() if of_all else {action for action in takers if name in actions[action]["required"]}
    words = (_described(_takers(takers, needs, list(actions)), text, name) for text, takers in told.items())
    return {**_joined(name, takers), "description": "; ".join(words)}


def _described(takers: str, text: str, name: str) -> str:
    """Return the description of an argument, without words that only repeat its name."""
    return takers.rstrip() if takers and text == f"The {name}" else takers + text


def _joined(name: str, takers: Mapping[str, Schema]) -> Schema:
    """Return the type of an argument; of two lists of choices, the choices of both."""
    values = list(takers.values())
    if len({str(one.get("type")) for one in values}) > 1:
        raise AssertionError(f"{name} has several types in {', '.join(takers)}: give it another name in one of them")
    choices = dict.fromkeys(choice for one in values for choice in one.get("enum", ()))
    return {**values[0], **({"enum": [*choices]} if choices else {})}


def _takers(takers: Sequence[str], needs: set[str], all_actions: Sequence[str]) -> str:
    """Return the actions that take an argument, in brackets; "" if all of them take it and none needs it."""
    others = [one for one in all_actions if one not in takers]
    noun = takers[0].partition("_")[0]
    star = "*" if needs.issuperset(takers) else ""
    if not others and not needs:
        return ""
    if others and len(others) < len(takers) / 2 and (star or not needs.intersection(takers)):
        return f"[not {', '.join(others)}]{star} "
    if len(takers) > 2 and list(takers) == [one for one in all_actions if one.startswith(f"{noun}_")]:
        return f"[{noun}_…]{star} "
    if star:
        return f"[{', '.join(takers)}]* "
    return f"[{', '.join(one + ('*' if one in needs else '') for one in takers)}] "


def _plain(schema: Mapping[str, Any], *, is_span: bool = False) -> Schema:
    """Return the part of a schema that a model needs. It omits bounds: a command's refusal names them."""
    value = {key: one for key, one in schema.items() if key in ("type", "enum", "description")}
    if "description" in value:
        for words in LEFT_OUT:
            value["description"] = str(value["description"]).replace(words, "")
        if is_span and "15m" not in value["description"]:
            value["description"] += f" ({SPANS})"
    options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(options) == 1:
        value |= _plain(options[0])
    elif options:
        value["anyOf"] = [_plain(one) for one in options]
    if isinstance(schema.get("items"), Mapping):
        value["items"] = _plain(schema["items"])
    return value
