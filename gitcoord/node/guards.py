"""Guards: each part of a long-running process fails by itself; it is reported once and tried again later.

An error of a part ends neither the process nor the round. It is reported with its cause, and again if the cause
changes.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from gitcoord.core.errors import GitcoordError

RETRY_S = (1.0, 60.0)  # after a failure: doubles from the first to the second
TOLD_MAX = 100
PARTS_MAX = 1000  # remembered; a process consists of about ten

T = TypeVar("T")


class Component(Protocol):
    """A part that `agent run` looks after between two rounds: it does a little at a time, and waits for nothing."""

    agent: str  # its agent; "" if it belongs to no single one

    @property
    def busy(self) -> bool: ...

    def is_due(self, now_s: float) -> bool: ...

    def step(self, now_s: float) -> bool: ...

    def ask_to_end(self) -> None: ...

    def end(self) -> None: ...


@dataclass(slots=True)
class _Trouble:
    words: str = ""
    failures: int = 0
    not_before_s: float = 0.0


@dataclass(slots=True)
class Guards:
    """The parts of one process, by name, and which of them failed."""

    say: Callable[[str, str], None]
    _troubles: dict[str, _Trouble] = field(default_factory=dict)

    def run(self, name: str, part: Callable[[], T], *, otherwise: T, now_s: float, key: str = "") -> T:
        """Return what `part` returns; `otherwise` if it fails, and until it is to be tried again.

        `key` tells parts of the same name apart.
        """
        trouble = self._troubles.get(key or name)
        if trouble is not None and now_s < trouble.not_before_s:
            return otherwise
        try:
            answer = part()
        except Exception as wrong:  # a part may fail on anything in the ledger; the caller has other parts to run
            self._failed(name, key or name, wrong, now_s)
            return otherwise
        self._troubles.pop(key or name, None)
        return answer

    def waits(self, key: str, now_s: float) -> bool:
        """Return whether the part failed, and is not to be tried yet."""
        return key in self._troubles and now_s < self._troubles[key].not_before_s

    # The components of `agent run`, which it looks after between two rounds

    def step(self, one: Component) -> bool:
        now_s = time.monotonic()
        return self.run(_name(one), partial(one.step, now_s), otherwise=False, now_s=now_s, key=str(id(one)))

    def is_due(self, one: Component) -> bool:
        """Return whether it has something to do. If even that fails, its `step` fails as well, and waits then."""
        now_s = time.monotonic()
        if self.waits(str(id(one)), now_s):
            return False
        try:
            return one.is_due(now_s)
        except Exception:
            return self.step(one)

    def ending(self, part: Callable[[], None]) -> None:
        """Run `part`: a failure must not keep the others from ending."""
        try:
            part()
        except Exception as wrong:
            self.say("part_failed", f"while ending: {describe_error(wrong)}")

    def _failed(self, name: str, key: str, wrong: Exception, now_s: float) -> None:
        if len(self._troubles) >= PARTS_MAX:
            self._troubles.clear()
        trouble = self._troubles.setdefault(key, _Trouble())
        trouble.failures += 1
        trouble.not_before_s = now_s + min(RETRY_S[0] * 2 ** min(trouble.failures - 1, 20), RETRY_S[1])
        words = describe_error(wrong)
        if words != trouble.words:
            trouble.words = words
            self.say("part_failed", f"{name}: {words}; it is tried again, all else goes on")


@dataclass(slots=True)
class RoundGuard:
    """A part that runs along with a round, and may fail without it. The disk's and the store's own errors are the
    round's."""

    tell: Callable[[str, str], None]
    _told: list[str] = field(default_factory=list)

    def run(self, part: Callable[[], None]) -> None:
        try:
            part()
        except (OSError, GitcoordError):
            raise
        except Exception as wrong:  # anything that the ledger's content caused
            self.tell_once("part_failed", f"after a round: {describe_error(wrong)}")

    def tell_once(self, kind: str, text: str) -> None:
        if text not in self._told:
            self._told = [*self._told[-TOLD_MAX:], text]
            self.tell(kind, text)


def _name(one: Component) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(one).__name__).lower()
    return words + (f" of {one.agent}" if one.agent else "")


def describe_error(wrong: BaseException) -> str:
    """Return an error in one line; for a bug, with the place in our code."""
    if isinstance(wrong, GitcoordError):
        return str(wrong)
    frames = traceback.extract_tb(wrong.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return f"{type(wrong).__name__}: {' '.join(str(wrong).split())[:300]}{place}"
