"""The clock, and new identifiers: times, random ids, and the names of nodes."""

from __future__ import annotations

import datetime
import re
import secrets
import time

from gitcoord.core.names import uid_from


def utc_now() -> str:
    """Return the time in UTC, in ISO 8601 with milliseconds and a Z."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def since_boot_s() -> float:
    """Return monotonic seconds that also count while the machine sleeps: otherwise a leader would wake with an old
    lease.

    Linux counts sleep in CLOCK_BOOTTIME only, macOS in its CLOCK_MONOTONIC, Windows in Python's monotonic clock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def new_uid() -> str:
    """Return 80 random bits, as 16 characters of base32."""
    return uid_from(secrets.token_bytes(10))


def short_name(name: str) -> str:
    """Return the beginning of a node id, made from a host's name: at most 24 of a-z, 0-9 and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24].strip("-") or "node"


def passing_node_id(name: str) -> str:
    """Return a random id such as `doctor-3f9a7c21` for a writer without a chain: a founder's first line, a probe."""
    return f"{short_name(name)}-{secrets.token_hex(4)}"
