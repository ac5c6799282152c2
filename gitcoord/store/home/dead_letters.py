"""Dead letters: events that an agent's handler set aside after repeated failures, in a file of the home.

Elsewhere called a dead-letter queue. The events themselves are in the ledger: a letter has the event's id, the number
of failures, and the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from gitcoord.core.errors import Corrupt
from gitcoord.core.names import agent_id, named_id
from gitcoord.store import typed_json
from gitcoord.store.files import check_not_paused, pausing, read_regular, write_durably
from gitcoord.store.home.locks import holding

LETTERS_MAX = 1000  # per agent; beyond that the oldest letter is dropped; its event stays in the ledger and the inbox
TRIED_MAX = 10  # more than enough: one event is being handled, and perhaps one dead letter
TEXT_MAX = 300  # characters of an event, or of a reason, in a letter
FILE_BYTES_MAX = 8 * 1024 * 1024
LOCK_WAIT_S = 2.0  # for each of three attempts; a holder reads and writes one file
PATTERN = "agent-*.failed.json"


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that was set aside. `replay` says that a person wants it to be handled again."""

    event: str
    position: int
    author: str
    type: str
    text: str
    attempts: int
    reason: str
    at: str
    replay: bool = False


@dataclass(slots=True)
class _LettersFile:
    """The file's content. `tried` has the failures of events that are neither handled nor set aside, by uid."""

    agent: str = ""
    tried: dict[str, int] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)


class DeadLetters:
    """The dead letters of one agent. Several processes share them, under a short lock."""

    def __init__(self, home: Path, agent: str) -> None:
        self.home = home
        self.agent = agent
        self.path = home / f"agent-{agent_id(agent).casefold()}.failed.json"
        self._read: tuple[object, _LettersFile] = (None, _LettersFile())

    def all(self) -> list[Letter]:
        """Return all letters, oldest first. Raise Corrupt if the file is damaged."""
        return list(self._file().letters)

    def wanted(self) -> Letter | None:
        """Return the first letter that a person wants to be handled again; None if there is none."""
        return next((one for one in self._file().letters if one.replay), None)

    def tried(self, event: str) -> int:
        """Return how often the event has failed since it was new or replayed, in earlier processes as well."""
        return self._file().tried.get(event, 0)

    def note_failure(self, event: str, tried: int) -> None:
        """Record, durably, that the event has failed `tried` times."""

        def change(file: _LettersFile) -> None:
            file.tried = {**dict(list(file.tried.items())[-TRIED_MAX:]), event: tried}

        self._change(change)

    def set_aside(self, letter: Letter) -> None:
        """Store a letter, durably. It replaces a letter of the same event."""
        letter = replace(letter, text=letter.text[:TEXT_MAX], reason=letter.reason[:TEXT_MAX])

        def change(file: _LettersFile) -> None:
            others = [one for one in file.letters if one.event != letter.event]
            file.tried.pop(letter.event, None)
            file.letters = [*others, letter][-LETTERS_MAX:]

        self._change(change)

    def remove(self, event: str) -> None:
        """Remove the letter of an event that was handled."""

        def change(file: _LettersFile) -> None:
            file.tried.pop(event, None)
            file.letters = [one for one in file.letters if one.event != event]

        self._change(change)

    def replay(self, beginning: str = "") -> list[Letter]:
        """Mark all letters for a replay, or the one whose event's id has that beginning, and return them.

        Raise Refused if there is no such letter, or more than one.
        """
        found = {one.event: one for one in self.all()}
        if beginning:
            event = named_id(beginning, found, {}, "failed event", shown_by="inbox --failed")
            found = {event: found[event]}
        chosen = set(found)

        def change(file: _LettersFile) -> None:
            file.letters = [replace(one, replay=True) if one.event in chosen else one for one in file.letters]

        if chosen:
            self._change(change)
        return list(found.values())

    def stamp(self) -> object:
        """Return a value that differs whenever a process has changed the file."""
        try:
            seen = os.stat(self.path)
        except FileNotFoundError:
            return None
        return seen.st_ino, seen.st_size, seen.st_mtime_ns

    def _file(self) -> _LettersFile:
        stamp = self.stamp()
        if stamp != self._read[0]:
            self._read = stamp, self._parsed()
        return self._read[1]

    def _parsed(self) -> _LettersFile:
        try:
            return typed_json.read(_LettersFile, read_regular(self.path, bytes_max=FILE_BYTES_MAX))
        except FileNotFoundError:
            return _LettersFile()
        except (OSError, ValueError) as wrong:
            raise Corrupt(
                f"{self.path} cannot be read ({wrong}): move it away; its events stay in the ledger"
            ) from None

    def _change(self, change: Callable[[_LettersFile], None]) -> None:
        check_not_paused(self.home)
        with pausing(self.home), holding(self.path.with_suffix(".lock"), guards=self.path.name, wait_s=LOCK_WAIT_S):
            file = self._parsed()
            change(file)
            file.agent = self.agent
            write_durably(self.path, json.dumps(asdict(file)).encode() + b"\n")


def of_all_agents(home: Path) -> Iterator[tuple[str, list[Letter]]]:
    """Yield each agent of the home that has dead letters, with its letters. A damaged file is skipped."""
    for path in sorted(home.glob(PATTERN)):
        with contextlib.suppress(OSError, ValueError):
            file = typed_json.read(_LettersFile, read_regular(path, bytes_max=FILE_BYTES_MAX))
            if file.letters:
                yield file.agent, file.letters
