"""Lines that `parse` accepts, looked at without parsing: most lines need not be parsed.

These functions know the spelling of a line, as all modules of this folder do.
"""

from __future__ import annotations

import re

from gitcoord.core.format.strict_json import written


def type_of(line: bytes) -> str:
    """Return the type of the event in `line`."""
    found = _TYPE_OF.match(line)
    return found[1].decode() if found else ""


def may_name(line: bytes, name: str) -> bool:
    """Return False if no text in `line` is `name`, in whatever case."""
    return not name.isascii() or written(name).lower().encode() in line.lower()


def may_say(line: bytes, name: str, value: str) -> bool:
    """Return False if the event in `line` certainly has no field `name`, in its data or beside it, that is `value`."""
    return f"{written(name)}:{written(value)}".encode() in line


def may_be_of_node(line: bytes, node: str) -> bool:
    """Return False if the event in `line` is certainly none of the chain of `node`."""
    return f'"node":"{node}","seq":'.encode() in line


def may_be_imported(line: bytes) -> bool:
    """Return False if the event in `line` has certainly no original author."""
    return b'"source":{' in line


def times_in(line: bytes) -> list[str]:
    """Return the event's time and, of an imported one, the original time."""
    return [found.decode() for found in _TIMES_IN.findall(line)]


_TYPE_OF = re.compile(rb'\{"interaction":(?:null|[0-9]+),"actor":"[^"]*","type":"([^"]*)"')
_TIMES_IN = re.compile(rb'"timestamp":"([^"\\]*)"')
