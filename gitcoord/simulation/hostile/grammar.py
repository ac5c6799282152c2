"""A grammar of events: every type, with values at the bounds of its fields and beyond them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from gitcoord.core.event_types import CORE_EVENTS
from gitcoord.features import FEATURES

MODELS: dict[str, type[BaseModel]] = {
    **CORE_EVENTS,
    **{type_: model for module in FEATURES.values() for type_, model in module.EVENTS.items()},
}
SCHEMAS = {type_: model.model_json_schema() for type_, model in MODELS.items()}
TYPES = (*sorted(MODELS), "note", "error", "heartbeat")
MOMENTS = (
    "2026-01-01T00:00:00.000Z",
    "2026-01-01T00:05:00.123Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z",
    "2026-02-30T25:61:61Z",
    "1970-01-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
)
TEXTS = (
    "",
    "a",
    "alice",
    "bob",
    "mal",
    "ghost",
    "no id!",
    "x" * 63,
    "x" * 64,
    "x" * 200,
    "\0",
    "\n",
    "\u202e",
    "../..",
    "-x",
    "**",
    "*/" * 60,
    "src/**",
    "{item}",
    "{a.result}",
    "{",
    "%s",
    "*workflow:start w",
    "*autonomy:manual",
    "full",
    "2h",
    "1970-01-01",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-01-01T00:00Z",
    "nan",
    "1e999",
    "task",
    "agent",
    "escalate",
    "w",
    "high",
    "CRITICAL",
    "a.status == 'done'",
    "a" * 16,
    "🏳️‍🌈",
    "\U000e0041",
    "a\u2028b",
    "'" * 9,
    "not " * 300 + "a",
    "(" * 300,
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    0.5,
    1e308,
    -1e308,
    5e-324,
    2**31,
    2**53,
    2**63,
    10**300,
    float("inf"),
    float("nan"),
    True,
    100,
    101,
    1000,
)
RIGHT: Mapping[str, tuple[Any, ...]] = {
    # values that random choice hardly ever makes
    "workflow_defined": (
        {
            "definition": {
                "name": "w",
                "steps": {
                    "a": {"title": "A {item}", "for_each": ["x", "\u202e"]},
                    "b": {"title": "B {a.result}", "after": "a", "agent": "bob"},
                    "c": {
                        "title": "C",
                        "after": ["b"],
                        "when": "b.status == 'failed' or 'x' in a.result",
                        "undo": {"title": "U"},
                    },
                },
            }
        },
    ),
    "workflow_started": (
        {
            "definition": {
                "name": "v",
                "steps": {
                    "a": {"title": "A"},
                    "b": {"title": "{item}", "after": "a", "for_each": "a.result", "retries": 0},
                },
            }
        },
    ),
    "workflow_automated": ({"name": "w", "on": "note"}, {"name": "w", "on": "error"}),
    "directive_issued": tuple(
        {"agents": ["bob", "mal"], "plan": {"kind": kind, "text": text}, "ack_s": 1, "acknowledge": ["bob"]}
        for kind, text in (("task", "🏳️‍🌈 T"), ("agent", "alice"), ("agent", "mal"), ("escalate", ""))
    ),
    "task_finished": ({"attempt": 1, "result": "x\n\u202e\n\x1b[31m\n{a.result}"},),
}
NOISE = 0.03  # the share of values of a wrong type


def data_of(rng: random.Random, type_: str, agents: Sequence[str], uids: Sequence[str]) -> dict[str, Any]:
    """Return data for an event of this type, mostly as its model requires it."""
    schema = SCHEMAS.get(type_, {})
    data = value_of(rng, schema, schema.get("$defs", {}), agents, uids) if schema else {}
    if type_ in RIGHT and rng.random() < 0.4:
        data = rng.choice(RIGHT[type_])
    return data if isinstance(data, dict) else {}


def value_of(
    rng: random.Random,
    schema: Mapping[str, Any],
    known: Mapping[str, Any],
    agents: Sequence[str],
    uids: Sequence[str],
    depth: int = 0,
) -> Any:
    """Return a value for a part of a schema."""
    if rng.random() < NOISE or depth > 7:
        return rng.choice([None, [], {}, rng.choice(TEXTS), rng.choice(NUMBERS), [rng.choice(TEXTS)]])
    if "$ref" in schema:
        return value_of(rng, known[schema["$ref"].rsplit("/", 1)[-1]], known, agents, uids, depth + 1)
    if "anyOf" in schema:
        return value_of(rng, rng.choice(schema["anyOf"]), known, agents, uids, depth + 1)
    if "enum" in schema or "const" in schema:
        return rng.choice(schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "string":
            return _text(rng, schema, agents, uids)
        case "integer" | "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            most = schema.get("maximum", schema.get("exclusiveMaximum", 10))
            odd = rng.random() < 0.2
            return rng.choice([1, 2, least, most, least - 1, rng.choice(NUMBERS)] if odd else [1, 1, 2])
        case "boolean":
            return rng.random() < 0.5
        case "array":
            count = max(schema.get("minItems", 0), rng.choice([0, 1, 1, 2, 3]))
            return [value_of(rng, schema.get("items", {}), known, agents, uids, depth + 1) for _ in range(count)]
        case "object" if "properties" in schema:
            return {
                name: value_of(rng, one, known, agents, uids, depth + 1)
                for name, one in schema["properties"].items()
                if name in schema.get("required", ()) or rng.random() < 0.6
            }
        case "object":
            inner = schema.get("additionalProperties")
            inner = inner if isinstance(inner, dict) else {}
            return {
                rng.choice(["a", "b", "w", rng.choice(TEXTS)]): value_of(rng, inner, known, agents, uids, depth + 1)
                for _ in range(rng.choice([1, 1, 2]))
            }
    return rng.choice([rng.choice(TEXTS), rng.choice(NUMBERS), None, {"a": 1}])


def _text(rng: random.Random, schema: Mapping[str, Any], agents: Sequence[str], uids: Sequence[str]) -> str:
    pattern, most = schema.get("pattern", ""), schema.get("maxLength", 100)
    if pattern.startswith("^(undo"):
        return rng.choice(["a", "b", "a#1", "undo:a"])
    if pattern.startswith(("^[a-z", "^[0-9a-z]")):
        return rng.choice(["w", "a", "b", *uids[-2:]])
    if pattern:
        return rng.choice(["a" * 40, "e" * 40, ""])
    if most == 16 or (uids and rng.random() < 0.15):
        return rng.choice(uids or ["0" * 16])
    if most == 63 and rng.random() < 0.9:
        return rng.choice(agents)
    if most == 40 and rng.random() < 0.9:
        return rng.choice(MOMENTS[:2])
    text = rng.choice(TEXTS)
    if schema.get("minLength") and not text:
        text = "a"
    return text[:most] if rng.random() < 0.9 else text
