"""Output of answers for people: tables that fit the terminal, and single items with a line for each field."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitcoord.cli.common import echo
from gitcoord.core.commands import Answer
from gitcoord.core.text import Place, fit

EMPTY: tuple[Any, ...] = (None, "", [], {})
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z")


def print_table(columns: Sequence[str], rows: Sequence[Answer], *, wrapped: str = "") -> None:
    """Print a table. On a terminal it has a header and is cut to the width; elsewhere it is complete, for programs.

    A text that is too long for its column is cut; in the column `wrapped` it continues on the next line.
    """
    cells = [[describe(row[column][:8] if column == "id" else row[column]) for column in columns] for row in rows]
    if not (sys.stdout.isatty() or {"FORCE_COLOR", "TTY_COMPATIBLE"} & os.environ.keys()):
        _print_plain(cells)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        _print_plain(cells)
        return
    table = Table(box=None, pad_edge=False, show_header=True, header_style="" if console.no_color else "dim")
    for column in columns:
        # A column with no_wrap shrinks last: ids stay whole, because people type them. Texts are cut, not wrapped.
        table.add_column(Text(column.replace("_", " "), no_wrap=True, overflow="ellipsis"), no_wrap=column == "id")
    for row in cells:
        texts = zip(columns, row)
        table.add_row(*(Text(text, no_wrap=column != wrapped, overflow="ellipsis") for column, text in texts))
    console.print(table)


def _print_plain(cells: Sequence[Sequence[str]]) -> None:
    """Print rows for programs, as wide as they are. The rest of rich takes 0.03 s to import."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*cells)]
    for row in cells:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(row, widths))
        echo("  ".join(padded).rstrip())


def detail(answer: Answer) -> Iterator[str]:
    """Yield the lines of one item: one for each field that is not empty, or for each row or line of the field."""
    kept = {key: value for key, value in answer.items() if value not in EMPTY}
    width = max((len(_label(key)) for key in kept), default=0)
    for key, value in kept.items():
        has_rows = isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
        rows = value if has_rows else value.rstrip().split("\n") if isinstance(value, str) else [value]
        for number, one in enumerate(rows):
            yield f"{'' if number else _label(key):<{width}}  {_with_unit(key, one)}"


def describe(value: Any) -> str:
    """Return a value as text for one line of a terminal, without characters that act on it.

    Times are cut to seconds.
    """
    if value in EMPTY:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(describe(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(key)}: {_with_unit(key, one)}" for key, one in value.items() if one not in EMPTY)
    text = fit(str(value).strip().replace("\n", " / "), Place.LINE)
    return _TIME.sub(r"\1Z", text) if _TIME.fullmatch(text) else text


def _label(key: str) -> str:
    return fit(key.removesuffix("_s").replace("_", " "), Place.LINE)


def _with_unit(key: str, value: Any) -> str:
    """Return the value as text, with the unit that its name ends in: `timeout_s` is shown as `timeout  90 s`."""
    is_seconds = key.endswith("_s") and isinstance(value, int | float)
    return describe(value) + (" s" if is_seconds else "")
