"""Typed JSON files: the content of a file is checked against the types of a dataclass.

Every command reads some of these files first, and to import pydantic would take longer than the rest of a short
command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

_WORDS = {str: "text", int: "an integer", float: "a number", bool: "true or false", NoneType: "null"}


def read(kind: type[T], data: bytes) -> T:
    """Return the JSON object in `data` as a `kind` (a dataclass). Unknown fields are ignored.

    Fields may be text, numbers, booleans, `X | None`, lists, tuples of one kind, objects, dataclasses and Any. Raise
    ValueError, with a message of one line, if it is no JSON, too deeply nested, or has a field of another type.
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate could never be written out again
    except RecursionError:
        raise ValueError("nested too deeply") from None
    fitting: T = _fitting(kind, value, "")
    return fitting


def _fitting(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as a `kind`. Raise ValueError, with its place `where`, if it is not of that kind."""
    if kind is Any:
        return value
    outer, inner = get_origin(kind) or kind, get_args(kind)
    if outer is UnionType:
        if value is None and NoneType in inner:
            return None
        [kind] = [one for one in inner if one is not NoneType]
        return _fitting(kind, value, where)
    if is_dataclass(outer):
        return _record(outer, value, where)
    if outer in (dict, Mapping):
        _check(isinstance(value, dict), where, "an object")
        return {name: _fitting(inner[1], one, f"{where}.{name}") for name, one in value.items()}
    if outer in (list, tuple):
        _check(isinstance(value, list), where, "a list")
        return outer(_fitting(inner[0], one, f"{where}.{number}") for number, one in enumerate(value))
    if outer is float and type(value) is int:
        _check(abs(value) < 2**1023, where, "a number")
        return float(value)
    _check(type(value) is outer, where, _WORDS[outer])
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    _check(isinstance(value, dict), where, "an object")
    found = {}
    for name, (hint, needed) in _fields(kind).items():
        place = f"{where}.{name}"
        if name in value:
            found[name] = _fitting(hint, value[name], place)
        elif needed:
            raise ValueError(f"`{place[1:]}` is missing")
    return kind(**found)


def _check(fits: bool, where: str, words: str) -> None:
    if not fits:
        raise ValueError(f"`{where[1:]}` is not {words}" if where else f"not {words}")


@lru_cache(maxsize=32)
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return the kind of each field of a dataclass, by name, and whether it is required."""
    hints = get_type_hints(kind)
    return {
        one.name: (hints[one.name], one.default is MISSING and one.default_factory is MISSING) for one in fields(kind)
    }
