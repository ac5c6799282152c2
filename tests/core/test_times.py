"""Times as people type and read them."""

from __future__ import annotations

import pytest

from gitcoord.core import times


@pytest.mark.parametrize(("timestamp", "words"), [
    ("2026-11-21T05:04:05.678Z", "21 Nov 05:04 UTC"), ("2026-03-01T00:30:00+01:00", "28 Feb 23:30 UTC"),
    ("yesterday", "yesterday"),
])
def test_a_time_in_a_sentence_is_short_and_in_utc(timestamp: str, words: str) -> None:
    assert times.shown(timestamp) == words
