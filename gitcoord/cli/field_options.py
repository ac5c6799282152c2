"""Click options of a model's fields: how each is typed on the command line, and what the user's values are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from gitcoord.cli.common import content_or_stdin
from gitcoord.core import times
from gitcoord.core.commands import FROM_FILE, Command, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import READS_SPAN, Metavar, markers


def decorator(name: str, field: FieldInfo, positional: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the decorator that adds one argument or option. Its values stay text: the model parses them."""
    kind = _inner(field.annotation)
    many = get_origin(kind) is list
    inner = _inner(get_args(kind)[0]) if many else kind
    choice = click.Choice(get_args(inner), case_sensitive=False) if get_origin(inner) is Literal else None
    if positional:
        required = field.is_required()
        metavar = f"{name.upper().removesuffix('S')}..." if many else name.upper()
        shown = metavar if required else f"[{metavar}]"
        return click.argument(
            name,
            metavar=None if choice else shown,
            type=choice,  # click names the choices
            nargs=-1 if many else 1,
            required=required,
        )
    option = f"--{name.replace('_', '-')}"
    text = f"{field.description}{'; repeatable' if many else ''}{_default(field)}"
    if inner is bool:
        return click.option(option, name, is_flag=True, default=None, help=text)
    kinds: dict[Any, str] = {int: "N", float: "X", dict: "JSON"}
    metavar = _metavar(field) or kinds.get(get_origin(inner) or inner, "TEXT")
    return click.option(
        option,
        name,
        type=choice,
        multiple=many,
        required=field.is_required(),
        help=text,
        metavar=None if choice else metavar,
    )


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.default_factory is not None or field.default in (None, "", False, [], {}):
        return ""
    shown = times.in_words(field.default) if _is_span(field) else field.default
    return f"  [default: {shown.lower() if get_origin(_inner(field.annotation)) is Literal else shown}]"


def _is_span(field: FieldInfo) -> bool:
    return READS_SPAN in markers(field)


def _metavar(field: FieldInfo) -> str | None:
    return next((one.word for one in markers(field) if isinstance(one, Metavar)), None)


def _inner(annotation: Any) -> Any:
    """Return the annotation without `Annotated` and `| None`."""
    if hasattr(annotation, "__metadata__"):
        return _inner(annotation.__origin__)
    options = [one for one in get_args(annotation) if one is not type(None)]
    if type(None) in get_args(annotation) and len(options) == 1:
        return _inner(options[0])
    return annotation


def raw_arguments(values: Mapping[str, Any], what: Command | Query) -> dict[str, Any]:
    """Return the given arguments for the model of `what`, with `-` replaced by standard input, a file by its text."""
    raw_args = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None and value != ()
    }
    files = {
        field.alias or name
        for name, field in what.arguments.model_fields.items()
        if field.json_schema_extra == FROM_FILE
    }
    return {
        name: content_or_stdin(value) if value == "-" else _text_of(str(value)) if name in files else value
        for name, value in raw_args.items()
    }


def _text_of(name: str) -> str:
    """Return the text of the file `name`; without such a file, `name` itself, which may be a name in the ledger."""
    path = Path(name)
    if not path.is_file():
        return name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise Refused(f"{name} cannot be read: {wrong}") from None
