"""Fields: the types of what events and commands hold. Each has its bound here, and the fold judges by it.

What NAMES something (an id, a title, a capability, a branch) is `NAMED`: people compare it by eye, so nothing in it is
unseen. Free text (a body, a reason) is `FREE`: what is unseen in it is spelled out where it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gitcoord.core import limits, names, times
from gitcoord.core.text import UNSEEN, Place, compiled, fit, spelled

AGENT_CHARS_MAX = 63
TITLE_CHARS_MAX = 200  # what a table can show
WORDS_CHARS_MAX = 500  # some sentences: of an agent about itself, of a reason in a list
REASON_CHARS_MAX = 2000
GIVEN_CHARS_MAX = 200  # of what people type to name something: an id, the beginning of one, a position
COUNT_MAX = 2**53 - 1  # what every reader of JSON holds exactly

BUG = "a bug"
"""How the reason begins why an event has no effect where our own code failed at it."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class Payload(BaseModel):
    """The data of an event, or a part of it. No number in it is infinite."""

    model_config = ConfigDict(defer_build=True, allow_inf_nan=False)


def typed(model: type[BaseModel] | None, content: str, data: Mapping[str, Any]) -> BaseModel | None:
    """Return the typed data of an event; None for a type that nobody owns. Raises ValueError with what is wrong."""
    check_text(content)
    try:
        return model.model_validate(data) if model is not None else None
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
    except (MemoryError, RecursionError):
        raise  # of this machine, and not of the event: another one may read it
    except Exception as wrong:  # in a check of ours: it must not end whoever folds this
        raise ValueError(f"{BUG}: its model fails with {type(wrong).__name__}") from None


def check_name(text: str) -> str:
    """Return `text` if nothing in it is unseen. Raises ValueError."""
    if text.isascii() and text.isprintable():
        return text
    found = next((one for one in "\n\t" if one in text), None) or compiled(UNSEEN).search(text)
    if found is not None:
        shown = {"\n": "a line's end", "\t": "a tab"}[found] if isinstance(found, str) else spelled(found[0])
        raise ValueError(f"it holds {shown}, which nobody sees in a name: leave that out")
    return text


def as_name(text: str, most: int = TITLE_CHARS_MAX) -> str:
    """Return what others wrote as it may name something: in one line, with what is unseen spelled out."""
    return fit(text.strip(), Place.LINE)[:most].rstrip("\u200c\u200d\ufe0f") or "…"


def as_text(text: str) -> str:
    """Return what a program printed as an event may hold it: `check_text` lets it through, and nothing is dropped."""
    return text.encode("utf-8", "replace").decode().replace("\0", spelled("\0"))


def check_text(text: str) -> str:
    """Return `text` if every program can hold it. Raises ValueError."""
    if "\0" in text:
        raise ValueError("it holds NUL, which no program can be given: leave that out")
    if not text.isascii() and _SURROGATE.search(text):
        raise ValueError("it holds half a character: write it as UTF-8")
    return text


def check_agent(text: str) -> str:
    """Return `text` if it may be an agent's id. Raises ValueError."""
    if not names.is_agent_id(text):
        raise ValueError(f"{text!r} is not an agent id: 1 to {AGENT_CHARS_MAX} of A-Z a-z 0-9 space . _ -")
    return text


def check_uid(text: str) -> str:
    """Return `text` if it may be an event's id. Raises ValueError."""
    if not names.UID.match(text):
        raise ValueError(f"{text!r} is not an event's id")
    return text


def check_event_type(text: str) -> str:
    """Return `text` if it may be a type of event. Raises ValueError."""
    if not names.EVENT_TYPE.match(text):
        raise ValueError(f"{text!r} is no type of event: use a-z 0-9 _, beginning with a letter, at most 64")
    return text


def check_json(value: Any) -> Any:
    """Return a JSON value in which no number is infinite and no text holds NUL. Raises ValueError."""
    waiting = [value]
    for one in waiting:  # grows; its whole is bounded by the event that it came in
        if isinstance(one, dict):
            waiting += one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            check_text(one)
        elif isinstance(one, float) and not isfinite(one):
            raise ValueError("it holds a number that is not finite")
    return value


NAMED = AfterValidator(check_name)  # stands behind the bound of its length
FREE = AfterValidator(check_text)

Agent = Annotated[str, Field(min_length=1, max_length=AGENT_CHARS_MAX), AfterValidator(check_agent)]
Uid = Annotated[str, Field(max_length=names.UID_CHARACTERS), AfterValidator(check_uid)]
EventType = Annotated[str, Field(max_length=64), AfterValidator(check_event_type)]
Title = Annotated[str, Field(min_length=1, max_length=TITLE_CHARS_MAX), NAMED]
Label = Annotated[str, Field(max_length=100), NAMED]
Session = Annotated[str, Field(max_length=64), NAMED]
Url = Annotated[str, Field(max_length=500), NAMED]
Words = Annotated[str, Field(max_length=WORDS_CHARS_MAX), FREE]
Reason = Annotated[str, Field(max_length=REASON_CHARS_MAX), FREE]
Content = Annotated[str, Field(max_length=limits.EVENT_BYTES_MAX), FREE]
Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
Json = Annotated[dict[str, Any], AfterValidator(check_json)]
"""A JSON object of the author's own; its size is bounded by the event."""

Given = Annotated[str, Field(max_length=GIVEN_CHARS_MAX)]
"""What people type to name something that is there: the beginning of an id, a position, an agent."""


READS_SPAN = BeforeValidator(times.span_s)

Span = Annotated[float, READS_SPAN, Field(gt=0, le=times.SPAN_S_MAX)]
"""A field for a span of time, in seconds; typed with a unit."""


def _check_moment(text: str) -> str:
    if not times.is_moment(text):
        raise ValueError("it is no UTC time such as 2026-11-30T12:00:00Z")
    return times.moment(text)


Moment = Annotated[str, Field(max_length=40), AfterValidator(_check_moment)]
"""A field for a time in an event: UTC, read as 24 characters."""
