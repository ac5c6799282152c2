"""Times in events are UTC text; spans are seconds, typed as `90s`, `15m`, `2h`, `3d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

SPAN_S_MAX = 366 * 86_400.0
LAST_S = 253_402_300_799.0  # the year 9999: what a timestamp can say
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\Z")
_UNITS_S = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(timestamp: str) -> float:
    """Since 1970. A time that cannot be, such as the 30th of February, is 0: a fold never fails."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0


def later(timestamp: str, span: float) -> str:
    """`timestamp` and so many seconds, to the millisecond."""
    then = datetime.fromtimestamp(min(max(seconds(timestamp) + span, 0.0), LAST_S), UTC)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def between_s(earlier: str, now: str) -> float:
    """Seconds from one to the other; negative when the order is wrong."""
    return seconds(now) - seconds(earlier)


def shown(timestamp: str) -> str:
    """As people read it in a sentence: `21 Nov 12:03 UTC`. What is no time stays as it is."""
    try:
        then = datetime.fromisoformat(timestamp).astimezone(UTC)
    except ValueError:
        return timestamp
    return f"{then.day} {MONTHS[then.month - 1]} {then:%H:%M} UTC"


def span_s(text: object) -> object:
    """Seconds of `2h`; what is no text goes on to be validated. Raises ValueError."""
    if not isinstance(text, str):
        return text
    found = _SPAN.match(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no span of time: write 90s, 15m, 2h or 3d")
    return float(found[1]) * _UNITS_S[found[2]]


def in_words(span: float) -> str:
    """Seconds as people type them: `2h`, `90s`."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if span >= length and span % length == 0:
            return f"{span / length:.0f}{unit}"
    return f"{span:g}s"


READS_SPAN = BeforeValidator(span_s)

Span = Annotated[float, READS_SPAN, Field(gt=0, le=SPAN_S_MAX)]
"""A field for a span of time, in seconds; typed with a unit."""
