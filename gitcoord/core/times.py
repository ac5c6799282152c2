"""Times in events are UTC text; spans are seconds, typed as `90s`, `15m`, `2h`, `3d`.

A time is read by arithmetic of our own. `datetime.fromisoformat` reads other texts in each version of Python, and takes
a time without an offset for one of the machine's own zone: two machines would fold two states from one ledger.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SPAN_S_MAX = 366 * 86_400.0
LAST_S = 253_402_300_799.0  # the year 9999: what a timestamp can say
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\Z")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)?)?\Z",
    re.ASCII,
)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT_CHARACTERS = len("2026-11-30T12:00:00.000Z")
_UNITS_S = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def is_moment(text: str) -> bool:
    """Return whether `text` is a time that an event may carry: UTC, with a `Z`, a real day of 1970 to 9999."""
    return text.endswith("Z") and _read(text) is not None


def is_time(text: str) -> bool:
    """Return whether `seconds` can read `text`."""
    return _read(text) is not None


def seconds(timestamp: str) -> float:
    """Return the seconds since 1970; 0 if the text is no time, for a fold never fails.

    A time may have an offset such as `+02:00`. Without one it is UTC.
    """
    read = _read(timestamp)
    return 0.0 if read is None else read


@lru_cache(maxsize=4096)
def _read(text: str) -> float | None:
    found = _TIME.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction, offset = found[7], found[8]
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (1970 <= year and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] + (month == 2 and leap)):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    years, leaps = year - 1970, (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400 - 477
    days = 365 * years + leaps + sum(_DAYS[: month - 1]) + (month > 2 and leap) + day - 1
    at_s = days * 86_400.0 + hour * 3600 + minute * 60 + second + (float(f"0.{fraction}") if fraction else 0.0)
    if offset not in (None, "Z"):
        hours, minutes = int(offset[1:3]), int(offset[4:6])
        if hours > 23 or minutes > 59:
            return None
        at_s -= (hours * 3600 + minutes * 60) * (-1 if offset[0] == "-" else 1)
    return min(at_s, LAST_S) if at_s >= 0 else None


def moment(timestamp: str) -> str:
    """Return the time to the millisecond, 24 characters: two such texts compare as their times do."""
    if len(timestamp) == MOMENT_CHARACTERS and timestamp[-1] == "Z" and _read(timestamp) is not None:
        return timestamp
    return later(timestamp, 0)


def later(timestamp: str, span: float) -> str:
    """Return the time `span` seconds after `timestamp`, to the millisecond."""
    at_s = min(max(seconds(timestamp) + span, 0.0), LAST_S)
    return f"{(_EPOCH + timedelta(milliseconds=int(at_s * 1000 + 0.5))).isoformat(timespec='milliseconds')[:23]}Z"


def between_s(earlier: str, now: str) -> float:
    """Return the seconds from `earlier` to `now`; negative if the order is wrong."""
    return seconds(now) - seconds(earlier)


def shown(timestamp: str) -> str:
    """Return a time as text for people: `21 Nov 12:03 UTC`. A text that is no time stays as it is."""
    at_s = _read(timestamp)
    if at_s is None:
        return timestamp
    then = _EPOCH + timedelta(seconds=int(at_s))
    return f"{then.day} {MONTHS[then.month - 1]} {then:%H:%M} UTC"


def span_s(text: object) -> object:
    """Return the seconds of a text such as `2h`, and other values unchanged. Raise ValueError for other texts."""
    if not isinstance(text, str):
        return text
    found = _SPAN.match(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no span of time: write 90s, 15m, 2h or 3d")
    return float(found[1]) * _UNITS_S[found[2]]


def in_words(span: float) -> str:
    """Return a span as people type it, exactly: `2h`, `90s`."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if span >= length and span % length == 0:
            return f"{span / length:.0f}{unit}"
    return f"{span:g}s"


def roughly(span_s: float) -> str:
    """Return a span as people say it: `4 s`, `3 min`, `2 h`, `5 d`."""
    for unit, length_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if abs(span_s) >= 2 * length_s:
            return f"{span_s / length_s:.0f} {unit}"
    return f"{span_s:.0f} s"
