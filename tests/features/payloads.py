"""Payloads of any kind of event, drawn from its JSON schema: words that mean something, and some that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

WORDS = st.sampled_from(
    [
        "alice",
        "bob",
        "Carol",
        "nobody",
        "python",
        "src/**",
        "a",
        "2026-11-21T03:04:05.678Z",
        "0000000000000001",
        "0000000000000002",
    ]
) | st.text(max_size=20)
BY_LENGTH = {
    # the longest that a field allows → what may stand there: checks of our own stand in no schema
    16: st.sampled_from(["0000000000000001", "0000000000000002", "0000000000000003"]),
    40: st.just("2026-11-21T03:04:05.678Z"),
    63: st.sampled_from(["alice", "bob", "Carol", "nobody"]),
    500: st.sampled_from(["src/**", "README.md", "a/b", "words"]),
}


def payloads(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    """Values that the model accepts."""
    schema = model.model_json_schema()
    drawn = _values(schema, schema.get("$defs", {}))
    return drawn.map(lambda value: _valid(model, value)).filter(lambda found: found is not None)


def _valid(model: type[BaseModel], value: Any) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _values(schema: Mapping[str, Any], known: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return st.deferred(lambda: _values(known[name], known))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return st.one_of([_values(one, known) for one in schema["anyOf"]])
    match schema.get("type"):
        case "string" if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True).map(lambda text: text.strip())
        case "string":
            least, most = schema.get("minLength", 0), schema.get("maxLength", 100)
            if most in BY_LENGTH:
                return BY_LENGTH[most]
            return WORDS.map(lambda text: (text + "x" * (least - len(text)))[:most])
        case "integer":
            return st.integers(schema.get("minimum", schema.get("exclusiveMinimum", -10)), schema.get("maximum", 100))
        case "number":
            return st.floats(
                schema.get("minimum", schema.get("exclusiveMinimum", 0)),
                schema.get("maximum", schema.get("exclusiveMaximum", 1e6)),
                allow_nan=False,
            )
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            least = schema.get("minItems", 0)
            return st.lists(
                _values(schema.get("items", {}), known),
                min_size=least,
                max_size=max(least, min(schema.get("maxItems", 4), 4)),
            )
        case "object":
            return _object(schema, known)
    return st.none() | st.booleans() | WORDS  # anything


def _object(schema: Mapping[str, Any], known: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    fields = {name: _values(one, known) for name, one in schema.get("properties", {}).items()}
    needed = {name: one for name, one in fields.items() if name in schema.get("required", [])}
    for pattern, inner in schema.get("patternProperties", {}).items():
        return st.dictionaries(
            st.from_regex(pattern, fullmatch=True).map(lambda text: text.strip()),
            _values(inner, known),
            min_size=schema.get("minProperties", 0),
            max_size=2,
        )
    if not fields:
        inner = schema.get("additionalProperties")
        return st.dictionaries(WORDS, _values(inner if isinstance(inner, dict) else {}, known), max_size=3)
    return st.fixed_dictionaries(needed, optional={name: one for name, one in fields.items() if name not in needed})
