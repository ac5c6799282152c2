"""Tests wait for a condition with one limit for all; they never sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01
# The one limit of all waits, also for a child process to end: a slow machine is no failure.
# pytest's own limit (setup.cfg) is far above it, so that a wait says what it waited for.
WAIT_S = 240.0


def wait_until(condition: Callable[[], T], *, what: str) -> T:
    """Return the first true value of `condition`; fail, naming `what`, when it takes longer than WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {WAIT_S:g} s for {what}; last seen: {value!r}")
        time.sleep(POLL_S)
