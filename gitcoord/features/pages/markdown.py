"""Untrusted text is shown as code: exactly what was written, and never a part of the page that shows it.

A block of content becomes an *indented* code block. Nothing can end one from within: there is no
fence to match, every line of it begins with blanks (so a tool that looks for `### …` or for our
markers at a line's beginning is not fooled either), and forges look for mentions, issue numbers,
commit ids, URLs, formulas and diagrams everywhere except in code. Backslash escapes cannot promise
that: forges look for mentions after they are gone.

Inside it, what the eye cannot see or what would lie about order is spelled out (`␀`, `⟨U+202E⟩`), and
long lines are broken, with `↩`, since code is not wrapped by browsers. Both can be undone exactly.

The sets of characters are spelled out and not asked of `unicodedata`, whose answers differ between
versions of Python: the same text must give the same bytes on every machine.
"""

from __future__ import annotations

import re

WIDTH = 100  # columns that a forge's page shows of a code block without a scroll bar
NAME_CHARACTERS_MAX = 80  # an agent's id has at most 63; an imported author may have any number

_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"  # combining
_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, except tab and newline
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible, each in its own way
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line separators, direction
    "\u2400-\u2426"  # the pictures that we show instead
    "\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff"  # half a character: no UTF-8 can hold it
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags and selectors: people do not see them, language models read them
    "]"
    rf"|(?<=[{_MARKS}]{{4}})[{_MARKS}]"  # a fifth mark on one letter: it paints over other lines
    r"|<(?=!--[ \t\n]*(?i:BEGIN|END)[ \t\n]+(?i:COMMUNICATION))"  # a marker of ours
    r"|⟨(?=U\+)|↩(?=\n|\Z)"  # the words that we spell with
)
_TOO_LONG = re.compile(rf"(?=.{{{WIDTH + 1}}})(?:.{{{WIDTH // 2},{WIDTH - 1}}} |.{{{WIDTH}}})")
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*\Z|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z\Z")
_REFERENCE = re.compile(r"(?i)\bGH-\d|\b[0-9a-f]{7,64}\b")  # what a forge links: an issue, a commit
_BLANK = " \t\n"
_PICTURES = {**{chr(code): chr(0x2400 + code) for code in range(33)}, "\x7f": "␡", "\n": "␤"}


def visible(text: str) -> str:
    """`text` with every character that cannot be seen, or that would deceive, spelled out."""
    return _UNSEEN.sub(lambda found: _spelled(found[0]), text)


def block(text: str, *, indent: str = "") -> list[str]:
    """The lines of a code block that shows `text`; none for no text. A blank line belongs before it.

    `indent` is that of the list item which the block is part of.
    """
    if not text:
        return []
    margin = indent + "    "
    lines: list[str] = []
    for line in _edges_shown(visible(text)).split("\n"):
        words = line.rstrip(_BLANK)
        if len(words) > WIDTH:  # blanks at its end stay: a last line of blanks would be dropped
            line = _TOO_LONG.sub("\\g<0>↩\n", words) + line[len(words):]
        lines += [margin + part if part else "" for part in line.split("\n")]
    return lines


def inline(text: str, *, most: int = NAME_CHARACTERS_MAX) -> str:
    """`text` as a part of one line: bare if it is a plain name or time, else as a code span of `most` characters."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    if _PLAIN.match(text) and not _REFERENCE.search(text):
        return text
    text = visible(text).replace("\n", "␤").replace("\t", "␉")
    if not text.strip(" "):
        text = text.replace(" ", "␠") or "␀"
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    padding = " " if text[0] in " `" or text[-1] in " `" else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _edges_shown(text: str) -> str:
    """Blank lines at either end are no part of a code block, in Markdown: so they are spelled out."""
    kept = text.strip(_BLANK)
    if not kept:
        return "".join(_PICTURES[character] for character in text)
    start = len(text) - len(text.lstrip(_BLANK))
    end = start + len(kept)
    return text[:start].replace("\n", "␤") + kept + text[end:].replace("\n", "␤")


def _spelled(character: str) -> str:
    return _PICTURES.get(character) or f"⟨U+{ord(character):04X}⟩"
