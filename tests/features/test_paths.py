"""Patterns of paths: whether two of them have a path in common."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcoord.features.paths import overlap

NAMES = ["a", "b", "a.py", "bb"]
PATTERNS = st.lists(st.sampled_from(["a", "b", "a.py", "*", "*.py", "?", "**"]), min_size=1, max_size=2).map("/".join)
ALL_PATHS = ["/".join(parts) for depth in (1, 2, 3, 4) for parts in itertools.product(NAMES, repeat=depth)]


@pytest.mark.parametrize(("one", "other", "wanted"), [
    ("src/**", "src/a.py", True), ("src", "src/a/b.py", True), ("src/*.py", "src/a/b.py", False),
    ("src/*.py", "src/x.py", True), ("src/*.py", "src/*.txt", False), ("src/a*", "src/*b", True),
    ("**/x.py", "src/y/x.py", True), ("**/x.py", "src/y", True), ("docs", "src", False), ("a/b", "a/bc", False),
    ("**/x.py", "src/*/y.py", True), ("README.md", "README.md/", True), ("?.py", "a.py", True), ("**", "q", True),
])
def test_overlap(one: str, other: str, wanted: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is wanted


def below(pattern: str, path: str) -> bool:
    """The same by trying: whether the pattern matches the path or a folder above it."""
    return any(_matches(pattern.split("/"), path.split("/")[:end]) for end in range(1, path.count("/") + 2))


def _matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(pattern[1:], path[skip:]) for skip in range(len(path) + 1))
    return bool(path) and _glob(pattern[0], path[0]) and _matches(pattern[1:], path[1:])


def _glob(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(_glob(pattern[1:], name[skip:]) for skip in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and _glob(pattern[1:], name[1:])


@settings(max_examples=60, deadline=None)
@given(PATTERNS, PATTERNS)
def test_two_patterns_overlap_where_some_path_is_in_both(one: str, other: str) -> None:
    assert overlap(one, other) is any(below(one, path) and below(other, path) for path in ALL_PATHS)
