"""Times as people type and read them, and as a fold reads them on any machine."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from gitcoord.core import times


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        ("2026-11-21T05:04:05.678Z", "21 Nov 05:04 UTC"),
        ("2026-03-01T00:30:00+01:00", "28 Feb 23:30 UTC"),
        ("yesterday", "yesterday"),
        ("9999-12-31T23:59:59.999999Z", "31 Dec 23:59 UTC"),
    ],
)
def test_a_time_in_a_sentence_is_short_and_in_utc(timestamp: str, words: str) -> None:
    assert times.shown(timestamp) == words


def test_own_arithmetic_agrees_with_pythons() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        then = datetime.fromtimestamp(rng.uniform(0, times.LAST_S - 1), UTC)
        text = then.isoformat(timespec=rng.choice(["seconds", "milliseconds", "microseconds"]))
        assert times.seconds(text) == pytest.approx(datetime.fromisoformat(text).timestamp(), abs=2e-5)
        assert times.seconds(times.later(text, 0)) == pytest.approx(times.seconds(text), abs=6e-4)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "0001-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01",
        "20260101T000000Z",
        "2026-W01-1T00:00:00Z",
        "２026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        "",
    ],
)
def test_what_some_python_reads_otherwise_is_no_moment(text: str) -> None:
    assert not times.is_moment(text)


def test_a_time_without_an_offset_is_utc_whatever_the_zone_of_the_machine() -> None:
    code = (
        "from gitcoord.core import times; text = '2026-06-01T12:00:00'; print(times.seconds(text), times.shown(text))"
    )
    told = set()
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        told.add(
            subprocess.run(
                [sys.executable, "-P", "-c", code], env={"TZ": zone}, text=True, capture_output=True, check=True
            ).stdout
        )
    assert told == {"1780315200.0 1 Jun 12:00 UTC\n"}


def test_moments_compare_as_text_as_their_times_do() -> None:
    texts = ["2026-01-01T00:00:05.1Z", "2026-01-01T00:00:05Z", "2026-01-01T00:00:05.123456Z", "2026-01-01T00:00:04.9Z"]
    assert sorted(texts, key=times.moment) == sorted(texts, key=times.seconds)
