"""Arguments as clients send them: null for an omitted one, numbers as text, a single text instead of a list.

They are converted where their meaning is beyond doubt. The command judges all others, and its refusal names the
argument.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gitcoord.core.text import cut

Schema = Mapping[str, Any]

SHOWN_CHARS = 60  # of an unknown name, in an error


def normalized(given: Mapping[str, Any], properties: Mapping[str, Schema]) -> dict[str, Any]:
    """Return the arguments without nulls, converted to their schemas' types where the meaning is beyond doubt."""
    return {name: _value(one, properties.get(name, {})) for name, one in given.items() if one is not None}


def chosen_action(text: object, actions: Mapping[str, Any]) -> str | None:
    """Return the action that a text names, also if it is written as `Agent List`; None if it names none."""
    wanted = str(text).strip().casefold().replace(" ", "_").replace("-", "_")
    return next((one for one in actions if one.replace("-", "_") == wanted), None)


def shown(name: str) -> str:
    return repr(cut(name, SHOWN_CHARS))


def _value(value: Any, schema: Schema) -> Any:
    kind = schema.get("type")
    if kind == "array":
        return _list(value, schema.get("items", {}))
    if kind == "object":
        return _parsed(value, dict)
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a position in place of an id, or the seconds of a span
    if isinstance(value, str) and "enum" in schema:
        return next((one for one in schema["enum"] if one.casefold() == value.strip().casefold()), value)
    if isinstance(value, str) and kind in ("integer", "number", "boolean"):
        return value.strip()  # pydantic reads the text
    return value


def _list(value: Any, items: Schema) -> Any:
    value = _parsed(value, list)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        value = [value] if value != "" else []
    return [_value(one, items) for one in value if one is not None] if isinstance(value, list) else value


def _parsed(value: Any, kind: type) -> Any:
    """Return the list or object that a JSON text holds, otherwise the value."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return found if isinstance(found, kind) else value
    return value
