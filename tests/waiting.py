"""Tests wait for a condition with one limit for all; they never sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S, POLL_S_MAX = 0.01, 2.0
# The one limit of all waits, also for a child process to end: a slow machine is no failure.
# pytest's own limit (setup.cfg) is far above it, so that a wait says what it waited for.
WAIT_S = 240.0


def wait_until(condition: Callable[[], T], *, what: str) -> T:
    """Return the first true value of `condition`; fail, naming `what`, when it takes longer than WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while True:
        began = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now >= deadline:
            raise AssertionError(f"waited {WAIT_S:g} s for {what}; last seen: {value!r}")
        # A condition that starts a process must not keep a processor busy, which the awaited one needs, too.
        time.sleep(min(max(POLL_S, 2 * (now - began)), POLL_S_MAX))
