"""Strict JSON: whatever two readers make of a text, they make the same of it, or both refuse it."""

from __future__ import annotations

import json
import re
from typing import Any

from gitcoord.core import limits

_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(ValueError):
    """The line is not an event; says why."""


def json_object(line: bytes) -> dict[str, Any]:
    """The JSON object of a line: strict, so that no two readers see two different events in it."""
    if b"\n" in line or b"\r" in line:
        raise Malformed("a newline inside the line")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise Malformed(f"not UTF-8 at byte {wrong.start}") from None
    try:
        value = _DECODER.decode(text)
    except Malformed:
        raise
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError as wrong:
        raise Malformed(f"not JSON: {wrong}") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    # A lone surrogate passes JSON but is no character: it could never be written out again.
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise Malformed("a lone surrogate")
    if text.count("{") + text.count("[") > limits.JSON_DEPTH_MAX and _depth(value) > limits.JSON_DEPTH_MAX:
        raise Malformed(f"nested deeper than {limits.JSON_DEPTH_MAX}")
    return value


def _depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        one, level = stack.pop()
        if isinstance(one, (dict, list)):
            deepest = max(deepest, level)
            inner = one.values() if isinstance(one, dict) else one
            stack.extend((child, level + 1) for child in inner)
    return deepest


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Malformed("a field stands twice")
    return value


def _no_constant(text: str) -> Any:
    raise Malformed(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)  # json.loads makes one a line
