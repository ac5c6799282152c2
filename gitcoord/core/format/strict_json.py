"""Strict JSON: two readers of a text read the same value, or both refuse it."""

from __future__ import annotations

import json
import re
from typing import Any

from gitcoord.core import limits

_SURROGATE = re.compile("[\ud800-\udfff]")


TEXT = r'[^"\\\x00-\x1f]*+(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*+)*+'
"""The pattern of a text between its quotes, as `written` writes it: each text has one spelling."""

ONE_SPELLING = "an event has one spelling"


class Malformed(ValueError):
    """The line is not an event; says why."""


def written(value: Any) -> str:
    """Return `value` as JSON, in the one spelling of events. Raise ValueError, TypeError or RecursionError."""
    return _ENCODER.encode(value)


def text_of(inner: str) -> str:
    """Return the text whose JSON is `inner` between quotes. `inner` must match `TEXT`."""
    return str(_DECODER.decode(f'"{inner}"'))


def spelled_object(text: str) -> dict[str, Any]:
    """Return the JSON object of `text`. Raise Malformed if `written` would write it in another way.

    So no field occurs twice in it, no number is infinite, and no surrogate is alone.
    """
    try:
        value: dict[str, Any] = _SPELLED.decode(text)
        if _ENCODER.encode(value) != text:
            raise Malformed(f"not spelled as gitcoord writes JSON: {ONE_SPELLING}")
    except (ValueError, RecursionError) as wrong:
        raise Malformed(str(wrong)) from None
    return value


def json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line. Raise Malformed if two readers could read it in two ways."""
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
        raise Malformed("a field appears twice")
    return value


def _no_constant(text: str) -> Any:
    raise Malformed(f"{text} is not JSON")


def _integer(text: str) -> int:
    value = int(text) if len(text) <= _INTEGER_CHARACTERS_MAX else limits.INTEGER_MAX + 1
    if not -limits.INTEGER_MAX <= value <= limits.INTEGER_MAX:
        raise Malformed(f"a number is not from -{limits.INTEGER_MAX} to {limits.INTEGER_MAX}")
    return value


_INTEGER_CHARACTERS_MAX = len(str(-limits.INTEGER_MAX))
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_SPELLED = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer)
_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)  # json.loads makes one a line
