"""Naming: what nobody else has, and when."""

from __future__ import annotations

import datetime
import re
import secrets
import time

from gitcoord.core.names import uid_from


def utc_now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def since_boot_s() -> float:
    """Monotonic seconds that go on while the machine sleeps: else a leader that wakes would act on time long gone.

    Linux counts sleep in CLOCK_BOOTTIME only, macOS in its CLOCK_MONOTONIC, Windows in Python's monotonic clock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def new_uid() -> str:
    return uid_from(secrets.token_bytes(10))


def short_name(name: str) -> str:
    """Return what a node id may begin with."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24].strip("-") or "node"


def passing_node_id(name: str) -> str:
    """Return an id for what writes in no chain, `doctor-3f9a7c21`: a founder's first line, a probe."""
    return f"{short_name(name)}-{secrets.token_hex(4)}"
