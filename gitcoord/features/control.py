"""Control words: `*autonomy:supervised`, `*workflow:start NAME`; an event's whole content, or typed as a command.

The original documents define them. The first part names the feature that carries out the word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gitcoord.core.feature import SequencedEvent

NOUNS = ("autonomy", "workflow")

_WORD = re.compile(rf"\*({'|'.join(NOUNS)}):([a-z]+)(?:[ \t]+(\S[^\n]*))?\Z")
PROGRAM_OUTPUT = frozenset({"answer", "error"})  # their content comes from commands of `--on-event`, and the network
WORD_CHARACTERS_MAX = 200  # longer than the longest name of a workflow; a longer text is a message


class ControlWord(NamedTuple):
    """`*noun:verb rest`."""

    noun: str
    verb: str
    rest: str = ""


def read(text: str) -> ControlWord | None:
    """Return the control word if it is all of `text`, otherwise None."""
    if not text.startswith("*") or len(text) > WORD_CHARACTERS_MAX:
        return None
    found = _WORD.match(text.rstrip())
    return ControlWord(found[1], found[2], found[3] or "") if found else None


def word_in(sequenced: SequencedEvent, noun: str) -> ControlWord | None:
    """Return the control word for the feature `noun` in a message, or in any event that no feature owns.

    Imported events do not count: they were meant for others, long ago. A program's words as an agent (an answer, a
    task's question) do not count either: they may repeat what others wrote, who would command with that agent's rights.
    """
    event = sequenced.event
    if not event.content.startswith("*") or sequenced.void is not None or "source" in event.data:
        return None
    if event.type in PROGRAM_OUTPUT or (sequenced.payload is not None and event.type != "message"):
        return None
    word = read(event.content)
    return word if word is not None and word.noun == noun else None


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return `'*workflow:start' code_sync` as `workflow start code_sync`; anything else unchanged."""
    word = read(arguments[0]) if arguments else None
    if word is None:
        return list(arguments)
    return [word.noun, word.verb, *([word.rest] if word.rest else []), *arguments[1:]]
