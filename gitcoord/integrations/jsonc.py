"""JSON with comments and trailing commas, parsed with the position of each part, so that it can be edited as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core.errors import Refused

DEPTH_MAX = 100  # of objects in objects: no settings file is near it, and Python's stack ends far above it
_SPACE = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z.])")
BOM = "\ufeff"


@dataclass(slots=True)
class JsonEntry:
    """A member of an object, or an item of an array (`key` is None)."""

    start: int  # of its key, or of its value
    key: str | None
    node: JsonNode
    comma: int | None = None  # the position of the comma after it


@dataclass(slots=True)
class JsonNode:
    """A value and its text, `text[start:end]`. An object or array has entries."""

    start: int
    end: int
    value: Any
    entries: list[JsonEntry] = field(default_factory=list)

    def get(self, key: str) -> JsonEntry | None:
        """Return the member `key`; None if this is not an object, or has no such member.

        Raise Refused if it has two.
        """
        found = [one for one in self.entries if one.key == key]
        if len(found) > 1:
            raise Refused(f"the key {key!r} appears twice: remove one of them")
        return found[0] if found else None


def read(text: str) -> JsonNode:
    """Parse `text`. Raise Refused, with line and column, if it is not one JSON value."""
    reader = _Reader(text)
    node = reader.value(_space(text, len(BOM) if text.startswith(BOM) else 0), 0)
    end = _space(text, node.end)
    if end != len(text):
        raise reader.wrong(end, "there is text after the end of the value")
    return node


def gap_start(text: str, at: int) -> int:
    """Return the position at which the white space before `at` begins."""
    while at and text[at - 1] in " \t\r\n":
        at -= 1
    return at


def line_end(text: str, at: int) -> int:
    """Return the end of the comments after `at` on the same line; `at` itself if there are none."""
    for found in _comments(text, at):
        if "\n" in text[at : found.end()]:
            break
        at = found.end()
    return at


def _comments(text: str, at: int) -> Iterator[re.Match[str]]:
    comment = re.compile(r"[ \t]*(?://[^\r\n]*|/\*.*?\*/)", re.DOTALL)
    while (found := comment.match(text, at)) is not None:
        yield found
        at = found.end()


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None  # it matches nothing as well
    return found.end()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text

    def wrong(self, at: int, why: str) -> Refused:
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return Refused(f"line {line}, column {column}: {why}")

    def value(self, at: int, depth: int) -> JsonNode:
        opening = self.text[at : at + 1]
        if opening in ("{", "["):
            if depth == DEPTH_MAX:
                raise self.wrong(at, f"more than {DEPTH_MAX} values are nested in one another")
            return self._container(at, depth)
        found = _STRING.match(self.text, at) or _SCALAR.match(self.text, at)
        if found is None:
            raise self.wrong(at, "a JSON value is missing here" if opening else "the file ends too early")
        try:
            return JsonNode(at, found.end(), json.loads(found[0]))
        except ValueError:
            raise self.wrong(at, "this is not a JSON value") from None

    def _container(self, at: int, depth: int) -> JsonNode:
        is_object = self.text[at] == "{"
        closing, node = ("}" if is_object else "]"), JsonNode(at, at, None)
        here = _space(self.text, at + 1)
        while self.text[here : here + 1] != closing:
            if node.entries and node.entries[-1].comma is None:
                raise self.wrong(here, f"a comma or {closing} is missing here")
            entry = self._entry(here, is_object, depth)
            node.entries.append(entry)
            here = _space(self.text, entry.node.end)
            if self.text[here : here + 1] == ",":
                entry.comma = here
                here = _space(self.text, here + 1)
        node.end = here + 1
        values = [one.node.value for one in node.entries]
        node.value = dict(zip([one.key for one in node.entries], values)) if is_object else values
        return node

    def _entry(self, at: int, is_object: bool, depth: int) -> JsonEntry:
        if not is_object:
            return JsonEntry(at, None, self.value(at, depth + 1))
        found = _STRING.match(self.text, at)
        if found is None:
            why = "a key in double quotes is missing here" if at < len(self.text) else "the file ends too early"
            raise self.wrong(at, why)
        try:
            key: str = json.loads(found[0])
        except ValueError:
            raise self.wrong(at, "this is not a JSON string") from None
        colon = _space(self.text, found.end())
        if self.text[colon : colon + 1] != ":":
            raise self.wrong(colon, "a colon is missing here")
        return JsonEntry(at, key, self.value(_space(self.text, colon + 1), depth + 1))
