"""Fields: the types of the fields of events and commands. Each has its bound here, and the fold applies it.

A field that NAMES something (an id, a title, a capability, a branch) is `NAMED`: people compare names by eye, so no
character in it is invisible. Free text (a body, a reason) is `FREE`: invisible characters are spelled out where it is
shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from gitcoord.core import limits, names, times
from gitcoord.core.text import UNSEEN, Place, compiled, fit, spelled

AGENT_CHARS_MAX = 63
TITLE_CHARS_MAX = 200  # what a table can show
WORDS_CHARS_MAX = 500  # some sentences, such as an agent's text about itself, or a reason in a list
REASON_CHARS_MAX = 2000
GIVEN_CHARS_MAX = 200  # of the text by which people name something: an id, its beginning, a position
COUNT_MAX = 2**53 - 1  # what every reader of JSON holds exactly

BUG = "a bug"
"""The beginning of the reason why an event has no effect, if our own code failed at it."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class Payload(BaseModel):
    """The data of an event, or a part of it. It holds no infinite number."""

    model_config = ConfigDict(defer_build=True, allow_inf_nan=False)


def typed(model: type[BaseModel] | None, content: str, data: Mapping[str, Any]) -> BaseModel | None:
    """Return the typed data of an event; None if the type is unknown. Raise ValueError with what is wrong."""
    check_text(content)
    try:
        return model.model_validate(data) if model is not None else None
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
    except (MemoryError, RecursionError):
        raise  # the fault is this machine's, not the event's: another machine may read it
    except Exception as wrong:  # a bug in a check of ours must not end the fold
        raise ValueError(f"{BUG}: its model fails with {type(wrong).__name__}") from None


def check_name(text: str) -> str:
    """Return `text`. Raise ValueError if a character in it is invisible."""
    if text.isascii() and text.isprintable():
        return text
    found = next((one for one in "\n\t" if one in text), None) or compiled(UNSEEN).search(text)
    if found is not None:
        shown = {"\n": "a line's end", "\t": "a tab"}[found] if isinstance(found, str) else spelled(found[0])
        raise ValueError(f"it holds {shown}, which nobody sees in a name: leave that out")
    return text


def as_name(text: str, most: int = TITLE_CHARS_MAX) -> str:
    """Return others' text as a name: in one line, with invisible characters spelled out, cut after `most`."""
    return fit(text.strip(), Place.LINE)[:most].rstrip("\u200c\u200d\ufe0f") or "…"


def as_text(text: str) -> str:
    """Return a program's output as text for an event: `check_text` accepts it, and nothing is dropped."""
    return text.encode("utf-8", "replace").decode().replace("\0", spelled("\0"))


def check_text(text: str) -> str:
    """Return `text`. Raise ValueError if it holds NUL or half a character, which some programs cannot take."""
    if "\0" in text:
        raise ValueError("it holds NUL, which no program can be given: leave that out")
    if not text.isascii() and _SURROGATE.search(text):
        raise ValueError("it holds half a character: write it as UTF-8")
    return text


def check_agent(text: str) -> str:
    """Return `text`. Raise ValueError if it is not an agent's id."""
    if not names.is_agent_id(text):
        raise ValueError(f"{text!r} is not an agent id: 1 to {AGENT_CHARS_MAX} of A-Z a-z 0-9 space . _ -")
    return text


def check_uid(text: str) -> str:
    """Return `text`. Raise ValueError if it is not an event's id."""
    if not names.UID.match(text):
        raise ValueError(f"{text!r} is not an event's id")
    return text


def check_event_type(text: str) -> str:
    """Return `text`. Raise ValueError if it is not a type of event."""
    if not names.EVENT_TYPE.match(text):
        raise ValueError(f"{text!r} is no type of event: use a-z 0-9 _, beginning with a letter, at most 64")
    return text


def check_json(value: Any) -> Any:
    """Return a JSON value. Raise ValueError if a number in it is infinite, or a text holds NUL."""
    waiting = [value]
    for one in waiting:  # the list grows, at most to the size of the event that holds the value
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


NAMED = AfterValidator(check_name)  # after the bound of the length
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
"""A JSON object of the author's own. The event bounds its size."""

Given = Annotated[str, Field(max_length=GIVEN_CHARS_MAX)]
"""The text by which people name something that exists: the beginning of an id, a position, an agent."""


READS_SPAN = BeforeValidator(times.span_s)


@dataclass(frozen=True, slots=True)
class Metavar:
    """The word for a value in the help of a command line, such as AGENT. It is part of a field's type."""

    word: str


def markers(field: FieldInfo) -> list[Any]:
    """Return what `Annotated` adds to a field's type, or to the type within `list[…]` or `… | None`."""
    inner = [one for annotation in (field.annotation, *get_args(field.annotation)) for one in _metadata(annotation)]
    return [*field.metadata, *inner]


def _metadata(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for one in get_args(annotation) if get_origin(annotation) is list else ():
        yield from getattr(one, "__metadata__", ())


Span = Annotated[float, READS_SPAN, Field(gt=0, le=times.SPAN_S_MAX), Metavar("SPAN")]
"""A field for a span of time, in seconds; typed with a unit."""


def _check_moment(text: str) -> str:
    if not times.is_moment(text):
        raise ValueError("it is no UTC time such as 2026-11-30T12:00:00Z")
    return times.moment(text)


Moment = Annotated[str, Field(max_length=40), AfterValidator(_check_moment)]
"""A field for a time in an event: UTC, read as 24 characters."""
