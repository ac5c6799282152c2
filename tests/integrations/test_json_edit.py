"""Edits of JSON as text: what was put in is taken out again to the byte, whatever the user wrote around it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core.errors import Refused
from gitcoord.integrations import json_edit, jsonc
from gitcoord.integrations.jsonc import JsonNode

TEXTS = [
    "{}",
    "{\n}",
    "{ }\n",
    '{"a":1}',
    '{ "a": 1 }\n',
    '{\n  "a": 1\n}\n',
    '{\n    "a": 1,\n    "b": {}\n}',
    '{\n  "a": 1, // why\n  "b": [1, 2] // last\n}\n',
    '{\n  "a": 1 /* one */ , /* two */\n  /* three\n lines */\n}\n',
    '{\n\t"a": 1,\n\n\t"b": 2,\n}\n',
    '{\r\n  "a": "x"\r\n}\r\n',
    '\ufeff{\n  "a": 1\n}',
    "// first\n{\n  // nothing yet\n}\n// last",
    "{ // c\n}",
    '{"servers": {}}',
    '{"servers": {\n}}',
    '{\n  "servers": { "mine": {"command": "x"}, },\n}',
    '{\n  "servers": {\n    "mine": {"url": "http://x // no comment"} // c\n  }\n}',
    '{"servers": {"mine": 1}, "list": []}',
    '{"list": [1,2,],}',
    '{"list": [\n  1 // one\n]}',
    '{"list": [/* none */]}',
]


def chain(text: str, path: tuple[str, ...]) -> list[JsonNode]:
    found = [jsonc.read(text)]
    for key in path:
        entry = found[-1].get(key)
        assert entry is not None
        found.append(entry.node)
    return found


def value(text: str) -> Any:
    return jsonc.read(text).value


@pytest.mark.parametrize("text", TEXTS)
def test_a_member_is_put_in_and_taken_out_to_the_byte(text: str) -> None:
    new = json_edit.put(text, ("servers", "ours"), {"args": ["a", "b"]})
    before = value(text)
    assert value(new) == before | {"servers": before.get("servers", {}) | {"ours": {"args": ["a", "b"]}}}
    nodes = chain(new, ("servers",))
    entry = nodes[-1].get("ours")
    assert entry is not None and json_edit.take(new, nodes, entry) == text


@pytest.mark.parametrize("text", TEXTS)
def test_an_item_is_added_and_taken_out_to_the_byte(text: str) -> None:
    new = json_edit.append(text, ("list",), {"command": "x"})
    assert value(new)["list"] == [*value(text).get("list", []), {"command": "x"}]
    nodes = chain(new, ("list",))
    assert json_edit.take(new, nodes, nodes[-1].entries[-1]) == text


@pytest.mark.parametrize("text", TEXTS)
def test_two_are_taken_out_in_either_order(text: str) -> None:
    one = json_edit.put(text, ("servers", "ours"), 1)
    both = json_edit.append(one, ("list",), "x")
    for first, second in ((("servers", "ours"), ("list", None)), (("list", None), ("servers", "ours"))):
        rest: str | None = both
        for key, name in (first, second):
            assert rest is not None
            nodes = chain(rest, (key,))
            entry = nodes[-1].get(name) if name else nodes[-1].entries[-1]
            assert entry is not None
            rest = json_edit.take(rest, nodes, entry)
        assert rest == text


def test_a_new_file_goes_with_its_last_entry() -> None:
    text = json_edit.new_file({"servers": {"ours": 1}})
    nodes = chain(text, ("servers",))
    assert json_edit.take(text, nodes, nodes[-1].entries[0]) is None


def test_what_the_user_adds_to_a_new_file_stays() -> None:
    text = json_edit.new_file({"servers": {"ours": 1}}).replace('"ours": 1', '"ours": 1, // c\n    "mine": 2')
    nodes = chain(text, ("servers",))
    rest = json_edit.take(text, nodes, nodes[-1].entries[0])
    assert rest is not None and value(rest) == {"servers": {"mine": 2}} and "// c" in rest


def test_a_value_that_says_the_same_keeps_its_spelling() -> None:
    text = '{"a": [1,   2]}'
    assert json_edit.put(text, ("a",), [1, 2]) == text
    assert json_edit.put(text, ("a",), True) == '{"a": true}'
    assert json_edit.put('{"a": 1}', ("a",), True) == '{"a": true}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1, column 1: the file ends too early"),
        ('{"a": 1', "line 1, column 8: a comma or }"),
        ('{"a": 1,\n  b: 2}', "line 2, column 3: a key in double quotes"),
        ("{'a': 1}", "column 2: a key in double quotes"),
        ('{"a" 1}', "column 6: a colon"),
        ('{"a": nul}', "column 7: a JSON value"),
        ('{"a": 01}', "column 7: a JSON value"),
        ("{} {}", "column 4: there is text after"),
        ("[" * 200 + "]" * 200, "more than 100 values"),
        ('{"a": /* open', "column 7: a JSON value"),
        ('{"a": "\\x"}', "column 7"),
        ('{"a": 1,, "b": 2}', "column 9: a key"),
        ("{,}", "column 2: a key"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words.replace("(", r"\(")):
        jsonc.read(text)


@pytest.mark.parametrize("text", ['{"servers": []}', '{"servers": 1}', "[]", '"x"', '{"servers": {}, "servers": {}}'])
def test_a_file_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        json_edit.put(text, ("servers", "ours"), 1)


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(Refused, match="list is not a JSON array"):
        json_edit.append('{"list": {}}', ("list",), 1)


SPACES = st.sampled_from(["", " ", "\n", "\n  ", "\r\n\t", " // c\n", "/* c */", "\n/* a\n b */ "])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", 'q"uote', "// no", "é😀"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """A value with any white space and comments, and trailing commas."""
    if not isinstance(value, dict | list):
        return json.dumps(value)
    is_object = isinstance(value, dict)
    parts = []
    for one in value:
        key = json.dumps(one) + draw(SPACES) + ":" + draw(SPACES) if is_object else ""
        inner = draw(spelled(value[one] if is_object else one))
        parts.append(draw(SPACES) + key + inner + draw(SPACES))
    trailing = "," if parts and draw(st.booleans()) else ""
    return f"{'{' if is_object else '['}{','.join(parts)}{trailing}{draw(SPACES)}{'}' if is_object else ']'}"


@given(st.data(), st.dictionaries(st.sampled_from(["a", "b", "servers"]), VALUES, max_size=3))
def test_any_object_is_itself_again(data: st.DataObject, before: dict[str, Any]) -> None:
    text = data.draw(SPACES) + data.draw(spelled(before)) + data.draw(SPACES)
    assert value(text) == before
    path = ("ours",) if not isinstance(before.get("servers", {}), dict) else ("servers", "ours")
    new = json_edit.put(text, path, {"x": [1]})
    nodes = chain(new, path[:-1])
    entry = nodes[-1].get("ours")
    assert entry is not None
    if len(path) == 2:
        assert value(new)["servers"]["ours"] == {"x": [1]}
    assert json_edit.take(new, nodes, entry) == text
