"""Users' files in YAML or TOML, with the line number of each value in them, so that an error names its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gitcoord.core.errors import Refused

Lines = Mapping[tuple[str | int, ...], int]


def read(text: str, what: str) -> tuple[Any, Lines]:
    """Return the value of a file and the line number of each value in it, by its path of keys and indexes.

    `what`: the kind of file, in words. Raise Refused, with the line number, if it is neither YAML nor TOML.
    """
    return _toml(text) if _looks_like_toml(text) else _yaml(text, what)


def at(lines: Lines, place: Sequence[str | int], reason: str) -> Refused:
    """Return an error about the value at the path `place`, with the line number of the innermost known part of it."""
    known = next((lines[tuple(place[:end])] for end in range(len(place), -1, -1) if tuple(place[:end]) in lines), 1)
    where = ".".join(map(str, place))
    return Refused(f"line {known}: {where + ': ' if where else ''}{reason}")


def _looks_like_toml(text: str) -> bool:
    """Return whether the first significant line is a table, or has an equals sign before any colon."""
    for line in text.splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            return line.startswith("[") or re.match(r"[\w\"'.-]+\s*=", line) is not None
    return False


def _toml(text: str) -> tuple[Any, Lines]:
    import tomllib  # 0.005 s, for a file of tasks or of a workflow

    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Refused(f"this is not TOML: {error}") from None
    lines: dict[tuple[str | int, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = re.match(r"\s*\[+([^\]]+)\]", line), re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if header:
            table = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            lines.setdefault(table, number)
        elif key:
            lines.setdefault((*table, *(part.strip("\"'") for part in key[1].split("."))), number)
    return value, lines


def _yaml(text: str, what: str) -> tuple[Any, Lines]:
    import yaml

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            # A few nested aliases can expand to gigabytes.
            raise Refused(f"{what} cannot use aliases (*name): write the value out")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Refused(f"line {line}: this is not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Refused(f"this is not YAML: {error}") from None
    lines: dict[tuple[str | int, ...], int] = {}
    if root is not None:
        _note_lines(root, (), lines)
    return value, lines


def _note_lines(node: Any, place: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if node.id == "mapping":
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                name, line = ".".join(map(str, inner)), key.start_mark.line + 1
                raise Refused(f"line {line}: {name} appears twice: rename or remove one")
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines)
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            _note_lines(value, (*place, number), lines)
