"""Patterns of paths: whether two of them have a path in common."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcoord.core.errors import Refused
from gitcoord.features.overlaps import Index
from gitcoord.features.paths import check, overlap

NAMES = ["a", "b", "a.py", "bb"]
PATTERNS = st.lists(st.sampled_from(["a", "b", "a.py", "*", "*.py", "?", "**"]), min_size=1, max_size=2).map("/".join)
ALL_PATHS = ["/".join(parts) for depth in (1, 2, 3, 4) for parts in itertools.product(NAMES, repeat=depth)]


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("src/**", "src/a.py", True),
        ("src", "src/a/b.py", True),
        ("src/*.py", "src/a/b.py", False),
        ("src/*.py", "src/x.py", True),
        ("src/*.py", "src/*.txt", False),
        ("src/a*", "src/*b", True),
        ("**/x.py", "src/y/x.py", True),
        ("**/x.py", "src/y", True),
        ("docs", "src", False),
        ("a/b", "a/bc", False),
        ("**/x.py", "src/*/y.py", True),
        ("README.md", "README.md/", True),
        ("?.py", "a.py", True),
        ("**", "q", True),
    ],
)
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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.lists(PATTERNS, min_size=1, max_size=3)), max_size=6),
    st.lists(PATTERNS, min_size=1, max_size=3),
    st.integers(0, 5),
)
def test_an_index_finds_whose_patterns_overlap_as_comparing_each_does(
    held: list[tuple[str, list[str]]], wanted: list[str], gone: int
) -> None:
    index, kept = Index(), {f"{owner}{number}": patterns for number, (owner, patterns) in enumerate(held)}
    for owner, patterns in kept.items():
        index.add(owner, patterns)
    for owner in list(kept)[:gone]:
        index.remove(owner, kept.pop(owner))
    assert set(index.owners(wanted)) == {
        owner for owner, patterns in kept.items() if any(overlap(one, other) for one in wanted for other in patterns)
    }
    for owner, patterns in kept.items():
        index.remove(owner, patterns)
    assert not index.owners(wanted) and not any(index.at.values()) and not any(index.below.values())


def test_too_many_steps_are_refused_in_whatever_order_the_patterns_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitcoord.features.overlaps.STEPS_MAX", 1000)
    held = [f"*/{letter}*{number}" for number in range(20) for letter in "ab"]
    for patterns in (held, held[::-1]):
        index = Index()
        for number, pattern in enumerate(patterns):
            index.add(str(number), [pattern])
        with pytest.raises(Refused, match="name fewer"):
            index.owners(["x/y*z/q"] * 2 + ["x/w*z/q"])
        assert not index.owners(["src/x"], lambda owner: False)


@pytest.mark.parametrize(
    "pattern",
    [
        "/x",
        "../x",
        "a/../b",
        "a//b",
        "./a",
        "",
        "/",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\u202eb",
        "a/" * 51 + "b",
        "x" * 501,
        "*" + "x" * 100,
    ],
)
def test_what_is_no_path_inside_the_repository_is_refused(pattern: str) -> None:
    with pytest.raises(Refused):
        check(pattern)
