"""Untrusted text is shown as code: exactly what was written, and never a part of the page that shows it.

A block of content becomes an *indented* code block. Nothing can end one from within: there is no
fence to match, every line of it begins with blanks (so a tool that looks for `### …` or for our
markers at a line's beginning is not fooled either), and forges look for mentions, issue numbers,
commit ids, URLs, formulas and diagrams everywhere except in code. Backslash escapes cannot promise
that: forges look for mentions after they are gone.

Inside the block, invisible characters and those that change the order of text are spelled out (`core/text.py`), and so
is text that looks like such a spelling. Long lines are broken, with `↩`, since browsers do not wrap code. Both can be
undone exactly.
"""

from __future__ import annotations

import re

from gitcoord.core import text as text_

WIDTH = 100  # columns that a forge's page shows of a code block without a scroll bar
NAME_CHARACTERS_MAX = 80  # an agent's id has at most 63; an imported author may have any number

_UNSEEN = (
    text_.UNSEEN + "|[\u2400-\u2426]"  # the control pictures that stand in for such characters
    r"|<(?=!--[ \t\n]*(?i:BEGIN|END)[ \t\n]+(?i:COMMUNICATION))"  # a marker of ours
    r"|⟨(?=U\+)|↩(?=\n|\Z)"  # our spelling itself
)
_TOO_LONG = re.compile(rf"(?=.{{{WIDTH + 1}}})(?:.{{{WIDTH // 2},{WIDTH - 1}}} |.{{{WIDTH}}})")
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*\Z|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z\Z")
_REFERENCE = re.compile(r"(?i)\bGH-\d|\b[0-9a-f]{7,64}\b")  # a forge links these: an issue, a commit
_BLANK = " \t\n"


def visible(text: str) -> str:
    """Return `text` with every invisible or deceptive character spelled out."""
    return text_.compiled(_UNSEEN).sub(lambda found: text_.spelled(found[0]), text)


def block(text: str, *, indent: str = "") -> list[str]:
    """Return the lines of a code block that shows `text`; none for an empty text. Put a blank line before the block.

    `indent`: that of the list item which contains the block.
    """
    if not text:
        return []
    margin = indent + "    "
    lines: list[str] = []
    for line in _edges_shown(visible(text)).split("\n"):
        words = line.rstrip(_BLANK)
        if len(words) > WIDTH:  # blanks at the line's end stay there: Markdown drops a last line of blanks
            line = _TOO_LONG.sub("\\g<0>↩\n", words) + line[len(words) :]
        lines += [margin + part if part else "" for part in line.split("\n")]
    return lines


def inline(text: str, *, most: int = NAME_CHARACTERS_MAX) -> str:
    """Return `text` as a part of a line: bare if a plain name or time, otherwise a code span of `most` characters."""
    text = text_.cut(text, most)
    if _PLAIN.match(text) and not _REFERENCE.search(text):
        return text
    text = visible(text).replace("\n", "␤").replace("\t", "␉")
    if not text.strip(" "):
        text = text.replace(" ", "␠") or "␀"
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    padding = " " if text[0] in " `" or text[-1] in " `" else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _edges_shown(text: str) -> str:
    """Spell out blank lines at either end: Markdown does not count them as a part of a code block."""
    kept = text.strip(_BLANK)
    if not kept:
        return "".join(text_.spelled(character) for character in text)
    start = len(text) - len(text.lstrip(_BLANK))
    end = start + len(kept)
    return text[:start].replace("\n", "␤") + kept + text[end:].replace("\n", "␤")
