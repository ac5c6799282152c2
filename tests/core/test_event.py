"""Events: a signed line is read back as it was written, and nothing else is read at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import event, limits
from gitcoord.core.errors import Refused
from gitcoord.core.event import Draft, Head, context_of, hash_of, parse, seal, signed_part
from gitcoord.core.keys import Verifier
from gitcoord.core.strict_json import Malformed
from tests.core.lines import FLEET, NOW, draft, signer_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2**60, 2**60) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8,
)
DRAFTS = st.builds(
    Draft, actor=st.sampled_from(["alice", "Agent A"]), type=st.sampled_from(["question", "x_1"]), content=st.text(),
    timestamp=st.sampled_from([NOW, "2026-11-21T03:04:05Z"]), uid=st.text("0123abz", min_size=16, max_size=16),
    interaction=st.none() | st.integers(0, 10**6), re=st.none() | st.text("0a", min_size=16, max_size=16),
    to=st.lists(st.sampled_from(["bob", "C"]), max_size=3).map(tuple), term=st.none() | st.integers(0, 10**6),
    data=st.dictionaries(st.text(), JSON, max_size=4),
)


def line_of(**changes: Any) -> bytes:
    """A line with some fields in other shapes; an Ellipsis leaves one out."""
    fields = {"interaction": 3, "actor": "alice", "type": "question", "content": "x", "timestamp": NOW, "uid": "0" * 16,
              "node": "n1", "seq": 1, "prev": "", "key": "k", **changes, "sig": "s"}
    kept = {name: value for name, value in fields.items() if value is not ...}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(DRAFTS, st.none() | st.integers(0, 99))
def test_what_is_written_is_read_back(words: Draft, seq: int | None) -> None:
    after = None if seq is None else Head(seq, "h")
    event = seal(words, node="n1", after=after, signer=signer_of(words.actor), fleet=FLEET)
    assert parse(event.line) == event and event.draft() == words
    assert b"\n" not in event.line and b"\r" not in event.line
    assert (event.seq, event.prev) == ((None, None) if seq is None else (seq + 1, "h"))
    assert event.head == Head(event.seq or 0, hash_of(event.line))
    assert Verifier().rejects(event, FLEET) is None
    assert event.as_json()["content"] == words.content
    assert list(event.as_json())[:5] == ["interaction", "actor", "type", "content", "timestamp"]


@given(DRAFTS, st.data())
def test_every_changed_byte_is_noticed(words: Draft, data: st.DataObject) -> None:
    event = seal(words, node="n1", after=Head(), signer=signer_of(words.actor), fleet=FLEET)
    place = data.draw(st.integers(0, len(event.line) - 1))
    changed = bytearray(event.line)
    changed[place] ^= data.draw(st.integers(1, 255))
    try:
        other = parse(bytes(changed))
    except Malformed:
        return
    assert Verifier().rejects(other, FLEET) == "wrong signature"


FRAGMENTS = st.sampled_from([
    b'"', b"\\", b"\\n", b"\\u00e9", b"\\ud800", b"0", b"9" * 15, b"1e3", b"-0", b"null", b" ", b".", b"\t", b"\r",
    b",", b"}", b"[[", b"]]", b"\xff", "ß".encode(), b'"a":1,', b',"re":"' + b"0" * 16 + b'"', b',"data":{"a":1}',
    b',"to":["bob"]', b',"term":1',
])


@given(DRAFTS, st.none() | st.integers(0, 99), st.data())
def test_a_line_is_the_same_event_whichever_way_it_is_read(words: Draft, seq: int | None, data: st.DataObject) -> None:
    after = None if seq is None else Head(seq, "h")
    line = seal(words, node="n1", after=after, signer=signer_of(words.actor), fleet=FLEET).line
    place, more = data.draw(st.integers(0, len(line) - 1)), data.draw(FRAGMENTS)
    for one in (line, line[:place] + more + line[place:], line[:place] + more + line[place + len(more):]):
        plain = event._plain(one)
        assert plain is None or plain == event._otherwise_spelled(one)


@pytest.mark.parametrize("old, new", [
    (b'"interaction":3', b'"interaction":03'), (b'"interaction":3', b'"interaction":1000000001'),
    (b'"actor":"alice"', b'"actor":"alice."'), (b'"actor":"alice"', b'"actor":"alice "'),
    (b'"actor":"alice"', b'"actor":"a' + b"b" * 63 + b'"'), (b'"bob"', b'"bob."'),
    (b'["bob"]', b'["bob"' + b',"bob"' * 100 + b"]"), (b'"seq":1', b'"seq":0'), (b'"seq":1', b'"seq":9007199254740992'),
    (b'"term":2', b'"term":9007199254740992'), (b'"term":2', b'"term":-1'),
    (b'"data":{"a":1}', b'"data":{"a":1},"data":{"b":2}'), (b'"data":{"a":1}', b'"data":{"a":1,"a":2}'),
    (b'"data":{"a":1}', b'"data":{"a":' + b"[" * 31 + b"]" * 31 + b"}"), (b'"data":{"a":1}', b'"data":{"a":NaN}'),
    (b'"data":{"a":1}', b'"data":{"a":"\\ud800"}'), (b'"data":{"a":1}', b'"data":{"a":1}\r'),
    (b'"content":"x"', b'"content":"\t"'), (b'"content":"x"', b'"content":"\\ud800"'),
    (b'"content":"x"', b'"content":"\\x"'), (b'"content":"x"', b'"content":"\\"'),
])
def test_what_is_wrong_is_wrong_in_a_line_of_the_usual_spelling(old: bytes, new: bytes) -> None:
    words = draft("alice", "x", "x", interaction=3, to=("bob",), term=2, data={"a": 1})
    line = seal(words, node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET).line
    assert event._plain(line) and line.count(old) == 1
    with pytest.raises(Malformed):
        parse(line.replace(old, new))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | JSON.map(json.dumps).map(str.encode))
def test_reading_never_fails_in_another_way_than_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse(line)


@given(st.sampled_from(sorted(set(json.loads(line_of())) - {"sig"})), JSON)
def test_a_field_of_any_shape_is_read_or_malformed(name: str, value: Any) -> None:
    try:
        event = parse(line_of(**{name: value}))
    except Malformed:
        return
    assert event.as_json()[name] == value


@pytest.mark.parametrize("line, words", [
    (b"", "JSON"), (b"[]", "object"), (b"\xff", "UTF-8"), (line_of() + b"\n", "newline"),
    (line_of()[:-1] + b"\r}", "newline"),
    (line_of(actor="../x"), "agent id"), (line_of(actor=5), "`actor` is not text"), (line_of(actor=...), "`actor`"),
    (line_of(type="Question"), "type"), (line_of(node="N"), "node"), (line_of(uid="short"), "uid"),
    (line_of(timestamp="yesterday"), "timestamp"), (line_of(timestamp="2026-11-21T03:04:05+01:00"), "timestamp"),
    (line_of(interaction=-1), "`interaction`"), (line_of(interaction=1.0), "`interaction`"),
    (line_of(interaction=True), "`interaction`"), (line_of(interaction=...), "missing"),
    (line_of(interaction="1"), "integer"),
    (line_of(interaction=limits.INTERACTION_MAX + 1), "`interaction`"), (line_of(seq=0), "counts from 1"),
    (line_of(seq=...), "goes with"), (line_of(prev=...), "goes with"), (line_of(re="x"), "`re`"),
    (line_of(to="bob"), "`to`"),
    (line_of(to=["../x"]), "`to`"), (line_of(to=["b"] * (limits.AGENTS_PER_EVENT_MAX + 1)), "at most"),
    (line_of(term=-1), "`term`"), (line_of(data=[]), "`data`"), (line_of(content="\ud800"), "UTF-8"),
    (line_of().replace(b'"x"', b'"\\ud800"'), "surrogate"), (line_of().replace(b'"x"', b"NaN"), "NaN"),
    (line_of().replace(b'"actor"', b'"uid":"1","actor"'), "twice"), (line_of()[:-1] + b',"z":1}', "last field"),
    (line_of().replace(b'"sig":"s"', b'"sig":"s\\""'), "last field"),
    (line_of(content="x" * limits.EVENT_BYTES_MAX), "bytes"),
    (b"[" * 30_000, "deeply|JSON"), (line_of(data={"a": json.loads("[" * 40 + "]" * 40)}), "deeper"),
])
def test_malformed_lines_say_why(line: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        parse(line)


@pytest.mark.parametrize("words", [
    draft("../x", "question"), draft("alice", "Question"), draft("alice", "x", "\ud800"),
    draft("alice", "x", uid="short"),
    draft("alice", "x", data={"a": float("nan")}), draft("alice", "x", data={"a": {1, 2}}),
    draft("alice", "x", to=("a/b",)),
    draft("alice", "x", interaction=-1), draft("alice", "x", timestamp="now"),
])
def test_what_could_not_be_read_is_refused_when_it_is_written(words: Draft) -> None:
    with pytest.raises(Refused):
        seal(words, node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)


def test_a_large_event_is_refused_with_the_limit_and_a_way_out() -> None:
    fits = limits.EVENT_BYTES_MAX - 1000
    seal(draft("alice", "x", "a" * fits), node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)
    with pytest.raises(Refused, match=f"at most {limits.EVENT_BYTES_MAX} fit: put the content into a file"):
        seal(draft("alice", "x", "é" * fits), node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)


def test_the_signature_covers_all_before_it_and_names_format_and_fleet() -> None:
    event = seal(draft("alice", "x"), node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)
    assert event.line == signed_part(event.line) + b',"sig":"' + event.sig.encode() + b'"}'
    assert context_of(FLEET) == b"gitcoord/1 testfleet1\n"
    assert Verifier().rejects(event, "another1") == "wrong signature"


def test_content_that_looks_like_a_signature_is_content() -> None:
    words = draft("alice", "x", '","sig":"forged"}')
    event = seal(words, node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)
    assert parse(event.line).sig == event.sig and Verifier().rejects(event, FLEET) is None


def test_an_imported_event_shows_its_original_author() -> None:
    source = {"source": {"actor": "Old Hand", "timestamp": "2001-01-01T00:00:00Z"}}
    event = seal(draft("alice", "x", data=source), node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)
    assert (event.shown_actor, event.shown_timestamp) == ("Old Hand", "2001-01-01T00:00:00Z")
    words = draft("alice", "x", data={"source": "a book"})
    plain = seal(words, node="n1", after=None, signer=signer_of("alice"), fleet=FLEET)
    assert (plain.shown_actor, plain.shown_timestamp) == ("alice", NOW)
