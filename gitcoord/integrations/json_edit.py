"""Edits of JSON as text: an entry that was put in can be taken out again, and no other byte changes.

The text itself shows what was put in. An object or array that `put` creates has its first entry on a line of its own;
into an empty one of the user's it writes directly after the bracket. `take` therefore knows which of them to remove
together with their last entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from gitcoord.core.errors import Refused
from gitcoord.integrations.jsonc import JsonEntry, JsonNode, gap_start, line_end, read

INDENT = "  "
Path = Sequence[str]


def new_file(value: Any) -> str:
    """Return the text of a new file."""
    return json.dumps(value, indent=INDENT, ensure_ascii=False) + "\n"


def find(root: JsonNode, path: Path) -> JsonNode | None:
    """Return the value at `path`; None if there is none. Raise Refused if a value on the way is not an object."""
    node = root
    for number, key in enumerate(path):
        if not isinstance(node.value, dict):
            raise Refused(f"{'.'.join(path[:number]) or 'the whole file'} is not a JSON object")
        entry = node.get(key)
        if entry is None:
            return None
        node = entry.node
    return node


def put(text: str, path: Path, value: Any) -> str:
    """Return `text` with `value` at `path`, and with the missing objects on the way. Raise Refused."""
    root, depth = read(text), len(path)
    found = find(root, path)
    if found is not None:
        return replace(text, found, value)
    while (parent := find(root, path[: depth - 1])) is None:
        depth -= 1
    for key in reversed(path[depth:]):
        value = {key: value}
    if not isinstance(parent.value, dict):
        raise Refused(f"{'.'.join(path[: depth - 1]) or 'the whole file'} is not a JSON object")
    return _insert(text, parent, path[depth - 1], value)


def append(text: str, path: Path, value: Any) -> str:
    """Return `text` with an item added to the array at `path`, which is created if it is missing. Raise Refused."""
    found = find(read(text), path)
    if found is None:
        return put(text, path, [value])
    if not isinstance(found.value, list):
        raise Refused(f"{'.'.join(path)} is not a JSON array")
    return _insert(text, found, None, value)


def replace(text: str, node: JsonNode, value: Any) -> str:
    """Return `text` with `value` in the place of a node; unchanged if the node has this value already."""
    if node.value == value and type(node.value) is type(value):
        return text
    return text[: node.start] + _rendered(text, value, _indent_at(text, node.start)) + text[node.end :]


def take(text: str, chain: Sequence[JsonNode], entry: JsonEntry) -> str | None:
    """Return `text` without an entry of the last node of `chain`, which begins with the root.

    An object or array that `put` created for the entry is removed too. Return None if that is the whole file.
    """
    node = chain[-1]
    if len(node.entries) == 1:
        if not _is_made(text, node):
            return text[: gap_start(text, entry.start)] + text[(entry.comma or entry.node.end - 1) + 1 :]
        if len(chain) == 1:
            return None if not (text[: node.start] + text[node.end :]).strip() else text[: node.start + 1] + "}"
        outer = next(one for one in chain[-2].entries if one.node is node)
        return take(text, chain[:-1], outer)
    start, number = gap_start(text, entry.start), node.entries.index(entry)
    if entry.comma is not None:
        return text[:start] + text[entry.comma + 1 :]
    comma = node.entries[number - 1].comma
    assert comma is not None  # only the last entry may have none
    return text[:comma] + text[comma + 1 : start] + text[entry.node.end :]


def _is_made(text: str, node: JsonNode) -> bool:
    """Return whether `put` created an object or array for its one entry, and it has no comments."""
    entry = node.entries[0]
    before, after = text[node.start + 1 : entry.start], text[entry.node.end : node.end - 1]
    return not (before + after).strip() and "\n" in before and "\n" in after


def _insert(text: str, node: JsonNode, key: str | None, value: Any) -> str:
    head = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "
    if not node.entries:
        body = head + _rendered(text, value, _indent_at(text, node.start))
        return text[: node.start + 1] + body + text[node.start + 1 :]
    last = node.entries[-1]
    gap = text[gap_start(text, last.start) : last.start]
    if "\n" in gap:
        indent = gap[gap.rindex("\n") + 1 :]
        gap = _newline(gap) + indent
    else:
        indent = _indent_at(text, node.start)
    body = gap + head + _rendered(text, value, indent)
    if last.comma is not None:  # the user writes trailing commas
        at = line_end(text, last.comma + 1) if "\n" in gap else last.comma + 1
        return text[:at] + body + "," + text[at:]
    end = last.node.end
    at = line_end(text, end) if "\n" in gap else end
    return text[:end] + "," + text[end:at] + body + text[at:]


def _rendered(text: str, value: Any, indent: str) -> str:
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return f"{_newline(text)}{indent}".join(lines)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _indent_at(text: str, at: int) -> str:
    """Return the white space at the beginning of the line of `at`."""
    found = re.compile(r"[ \t]*").match(text, text.rfind("\n", 0, at) + 1)
    return found[0] if found else ""


def _unit(text: str) -> str:
    """Return the file's unit of indentation, from its first indented line."""
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return found[1] if found else INDENT
