"""Conditions of steps: a small subset of Python's expressions, which we evaluate ourselves, never by `eval`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1000)
def condition_names(text: str) -> frozenset[str]:
    """Return the steps that a condition names. Raise ValueError if it is not a condition."""
    return frozenset(
        one.value.id
        for one in ast.walk(_condition(text))
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)
    )


def is_met(text: str, steps: Mapping[str, tuple[str, str]]) -> bool:
    """Return whether the condition is met. `steps`: name → (status, result). Raise ValueError if it is no condition."""
    return bool(_value(_condition(text).body, steps))


@lru_cache(maxsize=1000)
def _condition(text: str) -> ast.Expression:
    if not _PLAIN.match(_STRINGS.sub("''", text)) or text.count("(") > DEPTH_MAX or text.count("not") > DEPTH_MAX:
        raise ValueError(f"{text!r} is not a condition: {_EXAMPLE}")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is not a condition: {_EXAMPLE}") from None
    for one in ast.walk(tree):
        if not isinstance(one, _ALLOWED) or (
            isinstance(one, ast.Attribute)
            and (one.attr not in ("status", "result") or not isinstance(one.value, ast.Name))
        ):
            raise ValueError(f"{text!r} is not a condition: {_EXAMPLE}")
    return tree


# These are checked BEFORE Python's parser, which treats odd texts differently in each version.
_STRINGS = re.compile(r"'[^'\\\n]*'|\"[^\"\\\n]*\"")
_PLAIN = re.compile(r"[A-Za-z0-9_ .()=!']*\Z")
DEPTH_MAX = 20
_EXAMPLE = "write one such as test.status == 'failed' and 'yes' in ask.result"
_ALLOWED = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.Compare,
    ast.Eq,
    ast.NotEq,
    ast.In,
    ast.NotIn,
    ast.Attribute,
    ast.Name,
    ast.Load,
    ast.Constant,
)


def _value(node: ast.expr, steps: Mapping[str, tuple[str, str]]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value if isinstance(value, bool) else str(value)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            return steps.get(name, ("", ""))[attribute == "result"]
        case ast.UnaryOp(operand=operand):
            return not _value(operand, steps)
        case ast.BoolOp(op=op, values=values):
            found = (bool(_value(one, steps)) for one in values)
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _compare(op, str(_value(left, steps)), str(_value(right, steps)))
    raise ValueError(f"not a condition: {_EXAMPLE}")


def _compare(op: ast.cmpop, left: str, right: str) -> bool:
    if isinstance(op, ast.Eq | ast.NotEq):
        return (left == right) is isinstance(op, ast.Eq)
    return (left in right) is isinstance(op, ast.In)
