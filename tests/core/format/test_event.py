"""Events: a signed line is read back as it was written, and nothing else is read at all."""

from __future__ import annotations

import calendar
import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import limits, names
from gitcoord.core.errors import Refused
from gitcoord.core.format import event
from gitcoord.core.format.event import (
    Draft,
    Event,
    Head,
    context_of,
    fleet_id_of,
    hash_of,
    parse,
    seal,
    signed_part,
    uid_of,
)
from gitcoord.core.format.keys import Verifier
from gitcoord.core.format.raw_line import may_be_of_node, may_name, may_say, times_in, type_of
from gitcoord.core.format.strict_json import Malformed
from tests.core.lines import FLEET, NOW, draft, signer_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-limits.INTEGER_MAX, limits.INTEGER_MAX)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
DRAFTS = st.builds(
    Draft,
    actor=st.sampled_from(["alice", "Agent A"]),
    type=st.sampled_from(["question", "x_1"]),
    content=st.text(),
    timestamp=st.sampled_from([NOW, "2026-11-21T03:04:05Z"]),
    uid=st.text("0123abz", min_size=16, max_size=16),
    interaction=st.none() | st.integers(0, 10**6),
    re=st.none() | st.text("0a", min_size=16, max_size=16),
    to=st.lists(st.sampled_from(["bob", "C"]), max_size=3).map(tuple),
    term=st.none() | st.integers(0, 10**6),
    data=st.dictionaries(st.text(), JSON, max_size=4),
)
HASH = hash_of(b"the line before")


def line_of(**changes: Any) -> bytes:
    """A line with some fields in other shapes; an Ellipsis leaves one out."""
    fields = {
        "interaction": 3,
        "actor": "alice",
        "type": "question",
        "content": "x",
        "timestamp": NOW,
        "nonce": "0" * 16,
        "node": "n1",
        "seq": 1,
        "prev": "",
        "re": ...,
        "to": ...,
        "term": ...,
        "data": ...,
        "key": hash_of(b"key"),
        **changes,
    }
    kept = {name: value for name, value in fields.items() if value is not ...} | {"sig": hash_of(b"sig")}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(DRAFTS, st.none() | st.integers(0, 99))
def test_what_is_written_is_read_back(words: Draft, seq: int | None) -> None:
    after = None if seq is None else Head(seq, HASH if seq else "")
    event = seal(words, node="n1", after=after, signer=signer_of(words.actor), fleet=FLEET)
    assert parse(event.line) == event and event.draft() == words
    assert b"\n" not in event.line and b"\r" not in event.line
    assert (event.seq, event.prev) == ((None, None) if seq is None else (seq + 1, HASH if seq else ""))
    assert event.head == Head(event.seq or 0, hash_of(event.line))
    assert Verifier().rejects(event, FLEET) is None
    assert event.uid == words.event_uid == uid_of(words.actor, words.uid) == event.as_json()["uid"]
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


FRAGMENTS = st.sampled_from(
    [
        b'"',
        b"\\",
        b"\\n",
        b"\\u00e9",
        b"\\ud800",
        b"0",
        b"9" * 15,
        b"1e3",
        b"-0",
        b"null",
        b" ",
        b".",
        b"\t",
        b"\r",
        b",",
        b"}",
        b"[[",
        b"]]",
        b"\xff",
        "ß".encode(),
        b'"a":1,',
        b',"re":"' + b"0" * 16 + b'"',
        b',"data":{"a":1}',
        b',"to":["bob"]',
        b',"term":1',
    ]
)


@given(DRAFTS, st.none() | st.integers(0, 99), st.data())
def test_a_line_is_the_same_event_whichever_way_it_is_read(words: Draft, seq: int | None, data: st.DataObject) -> None:
    after = None if seq is None else Head(seq, HASH if seq else "")
    line = seal(words, node="n1", after=after, signer=signer_of(words.actor), fleet=FLEET).line
    place, more = data.draw(st.integers(0, len(line) - 1)), data.draw(FRAGMENTS)
    for one in (line, line[:place] + more + line[place:], line[:place] + more + line[place + len(more) :]):
        usual = event._usual(one)
        assert usual is None or usual == event._looked_through(one)
        assert usual is None or again(usual) == one


@pytest.mark.parametrize(
    "old, new",
    [
        (b'"interaction":3', b'"interaction":03'),
        (b'"interaction":3', b'"interaction":1000000001'),
        (b'"actor":"alice"', b'"actor":"alice."'),
        (b'"actor":"alice"', b'"actor":"alice "'),
        (b'"actor":"alice"', b'"actor":"a' + b"b" * 63 + b'"'),
        (b'"bob"', b'"bob."'),
        (b'["bob"]', b'["bob"' + b',"bob"' * 100 + b"]"),
        (b'"seq":1', b'"seq":0'),
        (b'"seq":1', b'"seq":9007199254740992'),
        (b'"term":2', b'"term":9007199254740992'),
        (b'"term":2', b'"term":-1'),
        (b'"data":{"a":1}', b'"data":{"a":1},"data":{"b":2}'),
        (b'"data":{"a":1}', b'"data":{"a":1,"a":2}'),
        (b'"data":{"a":1}', b'"data":{"a":' + b"[" * 31 + b"]" * 31 + b"}"),
        (b'"data":{"a":1}', b'"data":{"a":NaN}'),
        (b'"data":{"a":1}', b'"data":{"a":"\\ud800"}'),
        (b'"data":{"a":1}', b'"data":{"a":1}\r'),
        (b'"content":"x"', b'"content":"\t"'),
        (b'"content":"x"', b'"content":"\\ud800"'),
        (b'"content":"x"', b'"content":"\\x"'),
        (b'"content":"x"', b'"content":"\\"'),
        (b'"data":{"a":1}', b'"data":{"a":1e999}'),
        (b'"data":{"a":1}', b'"data":{"a":-1e999}'),
        (b'"data":{"a":1}', b'"data":{"a":Infinity}'),
        (b'"data":{"a":1}', b'"data":{"a":[9007199254740992]}'),
        (b'"data":{"a":1}', b'"data":{"a":{"b":-9007199254740992}}'),
        (b'"data":{"a":1}', b'"data":{"a":' + b"9" * 5000 + b"}"),
    ],
)
def test_what_is_wrong_is_wrong_in_a_line_of_the_usual_spelling(old: bytes, new: bytes) -> None:
    words = draft("alice", "x", "x", interaction=3, to=("bob",), term=2, data={"a": 1})
    line = seal(words, node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET).line
    assert event._usual(line) and line.count(old) == 1
    with pytest.raises(Malformed):
        parse(line.replace(old, new))


SPELLINGS = {
    "a space after a colon": lambda line: line.replace(b'"seq":', b'"seq": '),
    "a space before a colon": lambda line: line.replace(b'"node":', b'"node" :'),
    "a space after a comma": lambda line: line.replace(b',"to":', b', "to":'),
    "a space at the beginning": lambda line: b" " + line,
    "a space at the end": lambda line: line + b" ",
    "a tab in data": lambda line: line.replace(b'{"a"', b'{\t"a"'),
    "a return in data": lambda line: line.replace(b'{"a"', b'{\r"a"'),
    "two fields change places": lambda line: line.replace(
        b'"term":2,"data":{"a":[1.5,100000.0]}', b'"data":{"a":[1.5,100000.0]},"term":2'
    ),
    "a field more": lambda line: line.replace(b',"key"', b',"more":1,"key"'),
    "a field that format 1 had": lambda line: line.replace(b',"node"', b',"uid":"0000000000000000","node"'),
    "a field that says nothing": lambda line: line.replace(b',"to":["bob"]', b',"to":["bob"],"re":null'),
    "an empty list": lambda line: line.replace(b',"to":["bob"]', b',"to":[]'),
    "an empty object": lambda line: line.replace(b',"data":{"a":[1.5,100000.0]}', b',"data":{}'),
    "a field twice": lambda line: line.replace(b',"term":2', b',"term":2,"term":2'),
    "a field of data twice": lambda line: line.replace(b'{"a":', b'{"a":0,"a":'),
    "a float with an exponent": lambda line: line.replace(b"100000.0", b"1e5"),
    "a float with a large exponent": lambda line: line.replace(b"100000.0", b"1E5"),
    "a float with a zero more": lambda line: line.replace(b"1.5", b"1.50"),
    "minus zero": lambda line: line.replace(b"1.5", b"-0"),
    "an integer as a float": lambda line: line.replace(b'"term":2', b'"term":2.0'),
    "an escaped slash": lambda line: line.replace(b"a/b", b"a\\/b"),
    "an escaped letter": lambda line: line.replace("ü".encode(), b"\\u00fc"),
    "an escaped pair": lambda line: line.replace("😀".encode(), b"\\ud83d\\ude00"),
    "a newline by number": lambda line: line.replace(b"\\n", b"\\u000a"),
    "a control character in large letters": lambda line: line.replace(b"\\u001b", b"\\u001B"),
    "a quote by number": lambda line: line.replace(b'\\"', b"\\u0022"),
    "a delete by number": lambda line: line.replace(b"\x7f", b"\\u007f"),
    "a name of a field, escaped": lambda line: line.replace(b'"sig"', b'"\\u0073ig"'),
    "a name of a field of data, escaped": lambda line: line.replace(b'{"a"', b'{"\\u0061"'),
    "an unused bit of the signature": lambda line: line[:-3] + bytes([line[-3] + 1]) + line[-2:],
    "an unused bit of the hash": lambda line: line.replace(
        HASH.encode(), HASH[:-1].encode() + bytes([ord(HASH[-1]) + 1])
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_line_has_one_spelling(name: str) -> None:
    words = draft(
        "alice", "x", 'a/b ü 😀 \n "q" \x1b \x7f', interaction=3, to=("bob",), term=2, data={"a": [1.5, 100000.0]}
    )
    line = seal(words, node="n1", after=Head(1, HASH), signer=signer_of("alice"), fleet=FLEET).line
    other = SPELLINGS[name](line)
    assert parse(line) and other != line
    with pytest.raises(Malformed):
        parse(other)


@given(DRAFTS, st.data())
def test_no_character_may_be_written_as_an_escape(words: Draft, data: st.DataObject) -> None:
    line = seal(words, node="n1", after=Head(1, HASH), signer=signer_of(words.actor), fleet=FLEET).line.decode()
    place = data.draw(
        st.integers(0, len(line) - 1).filter(lambda at: line[at] not in '\\"' and line[at - 1] != "\\")
    )  # there it would be another text
    escaped = "".join(f"\\u{unit:04x}" for unit in units(line[place]))
    with pytest.raises(Malformed):
        parse((line[:place] + escaped + line[place + 1 :]).encode())


def units(character: str) -> list[int]:
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def again(read: Event) -> bytes:
    """The line written anew from what was read, by other code than the product's."""
    first = ("interaction", "actor", "type", "content", "timestamp", "nonce", "node")
    fields = {name: getattr(read, name) for name in first}
    fields |= {name: getattr(read, name) for name in ("seq", "prev", "re") if getattr(read, name) is not None}
    fields |= {"to": list(read.to)} if read.to else {}
    fields |= {"term": read.term} if read.term is not None else {}
    fields |= {"data": read.data} if read.data else {}
    fields |= {"key": read.key, "sig": read.sig}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def days_of_all_years() -> list[str]:
    day, days = datetime.date(1970, 1, 1), []
    while day.year < 2110:
        days.append(day.isoformat())
        day += datetime.timedelta(days=1)
    return days + [f"{year}-02-29" for year in range(2110, 10_000) if calendar.isleap(year)]


def test_a_timestamp_is_a_time_of_a_real_day() -> None:
    real = set(days_of_all_years())
    written = [
        f"{year}-{month:02d}-{day:02d}" for year in range(1968, 2110) for month in range(14) for day in range(33)
    ]
    written += [f"{year}-02-29" for year in range(2110, 10_000)]
    for day in written:
        assert bool(names.TIMESTAMP.match(f"{day}T00:00:00Z")) == (day in real), day


@pytest.mark.parametrize(
    "time",
    [
        "T24:00:00Z",
        "T23:60:00Z",
        "T23:59:60Z",
        "T3:04:05Z",
        "T03:04Z",
        " 03:04:05Z",
        "T03:04:05",
        "T03:04:05+00:00",
        "T03:04:05.Z",
        "T03:04:05.1234567Z",
        "T03:04:05,5Z",
        "t03:04:05Z",
        "T03:04:05z",
        "",
        "T03:04:0٥Z",
        "T03:04:05Z\n",
    ],
)
def test_a_time_of_another_form_is_malformed(time: str) -> None:
    with pytest.raises(Malformed, match="timestamp|newline"):
        parse(line_of(timestamp=f"2026-11-21{time}"))


def test_an_authors_nonce_gives_another_author_another_uid() -> None:
    same = [draft(actor, "note", uid="k3f97hq2m0x4w8zt").event_uid for actor in ("alice", "Alice", "ALICE")]
    assert len(set(same)) == 1 and names.UID.match(same[0])
    assert draft("bob", "note", uid="k3f97hq2m0x4w8zt").event_uid != same[0]
    assert draft("alice", "note", uid="k3f97hq2m0x4w8zv").event_uid != same[0]


def test_a_line_is_looked_at_without_parsing_it() -> None:
    words = draft(
        "alice",
        "question",
        '"type":"note" "Carol"',
        to=("Bob",),
        data={"type": "x", "source": {"timestamp": "2001-01-01T00:00:00Z"}},
    )
    line = seal(words, node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET).line
    assert type_of(line) == "question" and type_of(b"rubbish") == ""
    assert may_name(line, "ALICE") and may_name(line, "bob") and not may_name(line, "carol") and may_name(line, "é")
    assert may_be_of_node(line, "n1") and not may_be_of_node(line, "n")
    assert may_say(line, "type", "x") and may_say(line, "type", "question") and not may_say(line, "type", "note")
    assert times_in(line) == [NOW, "2001-01-01T00:00:00Z"]


def test_the_id_of_a_fleet_follows_from_its_founding_line() -> None:
    one, other = (
        seal(
            draft("alice", "fleet_founded", uid=nonce * 16),
            node="n1",
            after=None,
            signer=signer_of("alice"),
            fleet="ignored",
        )
        for nonce in "01"
    )
    assert Verifier().rejects(one, "") is None and Verifier().rejects(one, "another") is None
    ids = fleet_id_of(one.line), fleet_id_of(other.line)
    assert len({*ids}) == 2 and all(len(one) == 32 and one.isalnum() for one in ids)


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


@pytest.mark.parametrize(
    "line, words",
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b"\xff", "UTF-8"),
        (line_of() + b"\n", "newline"),
        (line_of()[:-1] + b"\r}", "newline"),
        (line_of(actor="../x"), "agent id"),
        (line_of(actor=5), "`actor` is not text"),
        (line_of(actor=...), "`actor`"),
        (line_of(type="Question"), "type"),
        (line_of(node="N"), "node"),
        (line_of(nonce="short"), "nonce"),
        (line_of(nonce="i" * 16), "nonce"),
        (line_of(timestamp="yesterday"), "timestamp"),
        (line_of(timestamp="2026-11-21T03:04:05+01:00"), "timestamp"),
        (line_of(interaction=-1), "`interaction`"),
        (line_of(interaction=1.0), "`interaction`"),
        (line_of(interaction=True), "`interaction`"),
        (line_of(interaction=...), "missing"),
        (line_of(interaction="1"), "integer"),
        (line_of(interaction=limits.INTERACTION_MAX + 1), "`interaction`"),
        (line_of(seq=0), "counts from 1"),
        (line_of(seq=...), "goes with"),
        (line_of(prev=...), "goes with"),
        (line_of(re="x"), "`re`"),
        (line_of(to="bob"), "`to`"),
        (line_of(to=["../x"]), "`to`"),
        (line_of(to=["b"] * (limits.AGENTS_PER_EVENT_MAX + 1)), "at most"),
        (line_of(term=-1), "`term`"),
        (line_of(data=[]), "`data`"),
        (line_of(content="\ud800"), "UTF-8"),
        (line_of().replace(b'"x"', b'"\\ud800"'), "surrogate"),
        (line_of().replace(b'"x"', b"NaN"), "NaN"),
        (line_of().replace(b'"actor"', b'"nonce":"1","actor"'), "twice"),
        (line_of()[:-1] + b',"z":1}', "`z` is no field"),
        (line_of(key="k"), "`key`"),
        (line_of(prev="x", seq=2), "`prev`"),
        (line_of(prev=HASH), "`prev`"),
        (line_of(prev="", seq=2), "`prev`"),
        (line_of().replace(b'"sig":"', b'"sig":"x'), "`sig`"),
        (line_of(nonce=..., uid="0" * 16), "written by format 1 of gitcoord's events; this version reads"),
        (line_of(data={"a": 2**53}), "not from -9007199254740991 to 9007199254740991"),
        (line_of().replace(b'"x"', b'"\\u0078"'), "one spelling"),
        (line_of(to=[]), "left out"),
        (line_of(content="x" * limits.EVENT_BYTES_MAX), "bytes"),
        (b"[" * 30_000, "deeply|JSON"),
        (line_of(data={"a": json.loads("[" * 40 + "]" * 40)}), "deeper"),
    ],
)
def test_malformed_lines_say_why(line: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        parse(line)


@pytest.mark.parametrize(
    "words",
    [
        draft("../x", "question"),
        draft("alice", "Question"),
        draft("alice", "x", "\ud800"),
        draft("alice", "x", uid="short"),
        draft("alice", "x", data={"a": float("nan")}),
        draft("alice", "x", data={"a": {1, 2}}),
        draft("alice", "x", to=("a/b",)),
        draft("alice", "x", interaction=-1),
        draft("alice", "x", timestamp="now"),
    ],
)
def test_what_could_not_be_read_is_refused_when_it_is_written(words: Draft) -> None:
    with pytest.raises(Refused):
        seal(words, node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)


def test_a_large_event_is_refused_with_the_limit_and_a_way_out() -> None:
    fits = limits.EVENT_BYTES_MAX - 1000
    seal(draft("alice", "x", "a" * fits), node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)
    most = limits.EVENT_BYTES_MAX - limits.VOUCH_BYTES
    with pytest.raises(Refused, match=f"at most {most} fit: put the content into a file"):
        seal(draft("alice", "x", "é" * fits), node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)


def test_the_signature_covers_all_before_it_and_names_format_and_fleet() -> None:
    event = seal(draft("alice", "x"), node="n1", after=Head(), signer=signer_of("alice"), fleet=FLEET)
    assert event.line == signed_part(event.line) + b',"sig":"' + event.sig.encode() + b'"}'
    assert context_of("an0ther1") == b"gitcoord/2 an0ther1\n"
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
