"""Backoff: refs of the remote that could not be fetched, and until when each is paused.

It is kept in a file, because every command is a process of its own: one hostile outbox must not delay each of them.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Container
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gitcoord.store import typed_json
from gitcoord.store.files import write_quickly

FILE = "backoff.json"
PAUSE_S = 10.0  # after the first failure: an honest node pushes its outbox again within seconds
PAUSE_S_MAX = 3600.0  # doubled at each further failure up to this
REFS_MAX = 1000  # that are remembered; those whose pause ends first are forgotten
DOUBLINGS_MAX = 20


@dataclass(slots=True)
class Pause:
    """A ref that could not be fetched: why, how often, and when it is retried (in seconds since 1970; 0: at once)."""

    why: str
    fails: int
    until: float


@dataclass(slots=True)
class _Content:
    refs: dict[str, Pause] = field(default_factory=dict)


class Backoff:
    """The pauses of the private repository at `store`. Processes share them; the newest writer wins."""

    def __init__(self, store: Path, now: Callable[[], float] = lambda: time.time()) -> None:
        self._path = store / FILE
        self._now = now
        self._seen: tuple[int, ...] = ()
        self._refs: dict[str, Pause] = {}

    def paused(self) -> dict[str, Pause]:
        """Return the refs that are paused now."""
        self._read()
        return {ref: pause for ref, pause in self._refs.items() if self._remains_s(pause) > 0}

    def failing(self) -> dict[str, Pause]:
        """Return the refs of the remote that could not be fetched the last time, paused or not."""
        self._read()
        return {ref: pause for ref, pause in self._refs.items() if pause.until and ref.startswith("refs/")}

    def failed(self, ref: str, why: str, *, fails_max: int = DOUBLINGS_MAX, least_s: float = PAUSE_S) -> None:
        """Pause `ref` for `least_s`, doubled at each further failure up to `fails_max`."""
        self._read()
        fails = min(self._refs[ref].fails + 1 if ref in self._refs else 1, fails_max)
        self._refs[ref] = Pause(why, fails, self._now() + min(least_s * 2 ** (fails - 1), PAUSE_S_MAX))
        self._write()

    def succeeded(self, ref: str) -> None:
        """End the pause of `ref`, and halve its failures: one that fails every other time still gets longer pauses."""
        self._read()
        if ref in self._refs:
            pause = self._refs.pop(ref)
            if pause.fails > 1:
                self._refs[ref] = Pause(pause.why, pause.fails // 2, 0.0)
            self._write()

    def forget(self, keep: Container[str]) -> None:
        """Forget refs that are not in `keep`, because the remote no longer has them, if their pause is over."""
        self._read()
        gone = [ref for ref, pause in self._refs.items() if ref not in keep and self._remains_s(pause) <= 0]
        for ref in gone:
            del self._refs[ref]
        if gone:
            self._write()

    def _remains_s(self, pause: Pause) -> float:
        """Return the seconds until a pause ends. If they are more than the longest pause, the clock was set back, and
        the pause is over."""
        rest_s = pause.until - self._now()
        return rest_s if rest_s <= PAUSE_S_MAX else 0.0

    def _read(self) -> None:
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._refs = typed_json.read(_Content, self._path.read_bytes()).refs
                self._seen = seen
        except (OSError, ValueError):  # then no ref is paused
            self._refs, self._seen = {}, ()

    def _write(self) -> None:
        for ref in sorted(self._refs, key=lambda one: self._refs[one].until)[:-REFS_MAX]:
            del self._refs[ref]
        with contextlib.suppress(OSError):  # then the ref is retried sooner, and fails again
            write_quickly(self._path, json.dumps(asdict(_Content(self._refs))).encode())
        self._seen = ()
