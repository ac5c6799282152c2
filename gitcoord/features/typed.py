"""Typed: how people write what an argument means; a model reads it so."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

Priority = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # the most urgent first


def _capital(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def _object(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError as wrong:
        raise ValueError(f"it is not JSON: {wrong}") from None


def _apart(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [part.strip() for one in value for part in (one.split(",") if isinstance(one, str) else [one])
            if not isinstance(part, str) or part.strip()]


AnyCase = Annotated[Priority, BeforeValidator(_capital)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_object)]
Agents = Annotated[list[str], BeforeValidator(_apart)]
"""Ids of agents; `alice,bob` is two."""
