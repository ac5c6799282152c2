"""Argument types: the forms in which people may write a value, and the value that a command gets."""

from __future__ import annotations

import json
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from gitcoord.core.errors import Refused
from gitcoord.core.fields import AGENT_CHARS_MAX, GIVEN_CHARS_MAX, NAMED, Json, Metavar
from gitcoord.features import paths

CAPABILITIES_MAX = 50  # per agent, or needed per task
AGENTS_GIVEN_MAX = 1000  # in one command
CHOSEN_MAX = 100  # ids in one command

Priority = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # the most urgent first


_SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def small(text: str) -> str:
    """Return `text` with A to Z in lower case. Other letters stay: their case depends on the version of Unicode."""
    return text.translate(_SMALL)


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def _object(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError as wrong:
        raise ValueError(f"it is not JSON: {wrong}") from None


def _split_commas(value: object) -> object:
    if not isinstance(value, list):
        return value
    parts = [
        part.strip() if isinstance(part, str) else part
        for one in value
        for part in (one.split(",") if isinstance(one, str) else [one])
    ]
    return [part for part in parts if part != ""]


AnyCase = Annotated[Priority, BeforeValidator(_upper)]
JsonObject = Annotated[Json, BeforeValidator(_object)]
AgentGiven = Annotated[str, Field(max_length=AGENT_CHARS_MAX), Metavar("AGENT")]
Agents = Annotated[list[AgentGiven], BeforeValidator(_split_commas), Field(max_length=AGENTS_GIVEN_MAX)]
"""Ids of agents; `alice,bob` is two agents."""
Ids = Annotated[list[Annotated[str, Field(max_length=GIVEN_CHARS_MAX)]], Field(max_length=CHOSEN_MAX)]
"""Beginnings of ids, or positions."""
Capability = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(small), NAMED
]
CapabilityGiven = Annotated[str, Field(max_length=100), Metavar("CAPABILITY")]
Capabilities = Annotated[
    list[Capability], BeforeValidator(_split_commas), Field(max_length=CAPABILITIES_MAX), Metavar("CAPABILITY")
]
"""An agent's capabilities: words that the fleet agrees on, in lower case; `python,backend` is two capabilities."""


def _pattern(text: str) -> str:
    try:
        paths.check(text)
    except Refused as wrong:
        raise ValueError(str(wrong)) from None
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=paths.PATTERN_CHARS_MAX), AfterValidator(_pattern)]
"""A field for a path, or a pattern of paths."""
