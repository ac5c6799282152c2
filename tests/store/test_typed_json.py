"""Small JSON files: read with their types, or damaged, whatever lies in them; never another error than ValueError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.store import typed_json


@dataclass(frozen=True)
class Wheel:
    inches: float
    spokes: int = 32


@dataclass(frozen=True)
class Bike:
    name: str
    wheels: list[Wheel] = field(default_factory=list)
    owner: str | None = None
    tags: tuple[str, ...] = ()
    prices: Mapping[str, int] = field(default_factory=dict)
    old: bool = False
    more: Any = None


WHOLE = Bike("red", [Wheel(28.5), Wheel(26.0, 24)], "bob", ("fast",), {"eur": 9}, True, {"bell": [1]})


def test_what_was_written_is_read() -> None:
    assert typed_json.read(Bike, json.dumps(asdict(WHOLE)).encode()) == WHOLE


def test_what_is_not_there_has_its_default_and_what_is_unknown_is_passed_over() -> None:
    assert typed_json.read(Bike, b'{"name": "red", "gears": 3}') == Bike("red")


def test_an_integer_is_a_number() -> None:
    inches = typed_json.read(Wheel, b'{"inches": 28}').inches
    assert (inches, type(inches)) == (28.0, float)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"[]", "not an object"),
        (b'{"old": true}', "`name` is missing"),
        (b'{"name": 3}', "`name` is not text"),
        (b'{"name": "a", "old": 1}', "`old` is not true or false"),
        (b'{"name": "a", "owner": 1}', "`owner` is not text"),
        (b'{"name": "a", "wheels": {}}', "`wheels` is not a list"),
        (b'{"name": "a", "wheels": [{"inches": true}]}', "`wheels.0.inches` is not a number"),
        (b'{"name": "a", "wheels": [{"inches": 1, "spokes": 1.0}]}', "`wheels.0.spokes` is not an integer"),
        (b'{"name": "a", "tags": [null]}', "`tags.0` is not text"),
        (b'{"name": "a", "prices": {"eur": "9"}}', "`prices.eur` is not an integer"),
        (b'{"name": "a", "wheels": [{"inches": 1' + b"0" * 400 + b"}]}", "`wheels.0.inches` is not a number"),
        (b'{"name": "\\ud800"}', "surrogates not allowed"),
        (b"\xff", "can't decode"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"name": ' + b"1" * 5000 + b"}", "limit"),
        (b"", "Expecting value"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(data: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        typed_json.read(Bike, data)
    assert words in str(caught.value) and "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = st.sampled_from(["name", "wheels", "owner", "tags", "prices", "old", "more"])


@given(st.binary() | st.dictionaries(FIELDS, JSON).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_bike_or_a_value_error(data: bytes) -> None:
    try:
        assert isinstance(typed_json.read(Bike, data), Bike)
    except ValueError:
        pass
