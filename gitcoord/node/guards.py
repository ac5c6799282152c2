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

RETRY_S = (1.0, 60.0)  # the first pause after a failure, and the longest: it doubles in between
TOLD_MAX = 100  # texts that are remembered, so that none is reported twice
PARTS_MAX = 1000  # that are remembered as failing; a process has about ten parts

T = TypeVar("T")


class Component(Protocol):
    """A part that `agent run` calls between two rounds: each step is short, and does not block."""

    agent: str  # its agent's id; "" if it belongs to no single agent

    @property
    def busy(self) -> bool:
        """Whether work of it goes on, for which `--once` waits."""

    def is_due(self, now_s: float) -> bool:
        """Return whether `step` has something to do although no round brought news."""

    def step(self, now_s: float) -> bool:
        """Do one short step. Return True if there may be more to do at once."""

    def ask_to_end(self) -> None:
        """Ask running work to end, without waiting for it."""

    def end(self) -> None:
        """End running work, and wait a few seconds at most."""


@dataclass(slots=True)
class _Failure:
    text: str = ""
    failures: int = 0
    not_before_s: float = 0.0


@dataclass(slots=True)
class Guards:
    """Run the parts of one process so that a failing one is reported and retried, and the others go on."""

    say: Callable[[str, str], None]
    _failing: dict[str, _Failure] = field(default_factory=dict)

    def run(self, name: str, part: Callable[[], T], *, otherwise: T, now_s: float, key: str = "") -> T:
        """Return what `part` returns; `otherwise` if it fails, or waits after a failure.

        `key` tells parts of the same name apart.
        """
        failure = self._failing.get(key or name)
        if failure is not None and now_s < failure.not_before_s:
            return otherwise
        try:
            answer = part()
        except Exception as wrong:  # a part may fail on anything in the ledger; the other parts must still run
            self._failed(name, key or name, wrong, now_s)
            return otherwise
        self._failing.pop(key or name, None)
        return answer

    def waits(self, key: str, now_s: float) -> bool:
        """Return whether the part failed and is not due for a retry yet."""
        return key in self._failing and now_s < self._failing[key].not_before_s

    # The components of `agent run`

    def step(self, one: Component) -> bool:
        """Return whether the component's step did anything; False if it failed."""
        now_s = time.monotonic()
        return self.run(_name(one), partial(one.step, now_s), otherwise=False, now_s=now_s, key=str(id(one)))

    def is_due(self, one: Component) -> bool:
        """Return whether the component has something to do. If that check fails, run its `step`, whose failure is
        reported and retried."""
        now_s = time.monotonic()
        if self.waits(str(id(one)), now_s):
            return False
        try:
            return one.is_due(now_s)
        except Exception:
            return self.step(one)

    def ending(self, part: Callable[[], None]) -> None:
        """Run `part`, and only report its failure: it must not keep the other parts from ending."""
        try:
            part()
        except Exception as wrong:
            self.say("part_failed", f"while ending: {describe_error(wrong)}")

    def _failed(self, name: str, key: str, wrong: Exception, now_s: float) -> None:
        if len(self._failing) >= PARTS_MAX:
            self._failing.clear()
        failure = self._failing.setdefault(key, _Failure())
        failure.failures += 1
        failure.not_before_s = now_s + min(RETRY_S[0] * 2 ** min(failure.failures - 1, 20), RETRY_S[1])
        text = describe_error(wrong)
        if text != failure.text:
            failure.text = text
            self.say("part_failed", f"{name}: {text}; retrying, everything else goes on")


@dataclass(slots=True)
class RoundGuard:
    """Run what follows a round, so that its failure does not fail the round. Errors of the disk and of the store do."""

    tell: Callable[[str, str], None]
    _told: list[str] = field(default_factory=list)

    def run(self, part: Callable[[], None]) -> None:
        """Run `part`. Raise its OSError or GitcoordError, and report any other failure once."""
        try:
            part()
        except (OSError, GitcoordError):
            raise
        except Exception as wrong:  # caused by the ledger's content
            self.tell_once("part_failed", f"after a round: {describe_error(wrong)}")

    def tell_once(self, kind: str, text: str) -> None:
        """Report `text`, unless it is one of the last TOLD_MAX texts."""
        if text not in self._told:
            self._told = [*self._told[-TOLD_MAX:], text]
            self.tell(kind, text)


def _name(one: Component) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(one).__name__).lower()
    return words + (f" of {one.agent}" if one.agent else "")


def describe_error(wrong: BaseException) -> str:
    """Return an error in one line. An error that is not a GitcoordError gets its type and the file and line."""
    if isinstance(wrong, GitcoordError):
        return str(wrong)
    frames = traceback.extract_tb(wrong.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return f"{type(wrong).__name__}: {' '.join(str(wrong).split())[:300]}{place}"
