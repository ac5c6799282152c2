"""No bytes that others wrote make a reader crash, hang or take memory without bound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Event, Head, seal
from gitcoord.core.names import uid_from
from gitcoord.features import FEATURES
from tests.core.lines import FLEET, NOW, signer_of
from tests.fuzz.parsers import PARSERS

EXAMPLES = int(os.environ.get("GITCOORD_FUZZ_EXAMPLES", "150"))
SLOW_S = 5.0  # far above any of them here; a reader that takes the square of its input takes minutes
MIB = 1024 * 1024

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["alice", NOW, "0" * 16, "laptop-1", "é", 10**20, -1, 1e308, float("inf")]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["fleet", "position", "seen", "at_s", "node", "seq", "hash", "x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
FIELDS = [
    "interaction",
    "actor",
    "type",
    "content",
    "timestamp",
    "nonce",
    "node",
    "seq",
    "prev",
    "re",
    "to",
    "term",
    "data",
    "key",
    "sig",
]
SHAPES: dict[str, dict[str, Any]] = {
    "config": {"fleet_id": "f" * 16, "remote": "origin", "timeout_s": 60.0, "agent": None, "lead": True, "extra": {}},
    "head": {"node": "laptop-1", "seq": 3, "hash": "h", "swap": False},
    "progress": {"node": "laptop-1", "durable": 1, "positions": {"u": 1}, "tokens": None, "tokens_at": 0.5},
    "heartbeats": {
        "at_s": 1.0,
        "seen": [
            {
                "agent": "a",
                "node": "n",
                "session": "s",
                "n": 1,
                "next_s": 1.0,
                "goodbye": False,
                "since_s": 1.0,
                "silent_s": 0.0,
            }
        ],
    },
    "state": {
        "schema": FleetState(FEATURES).schema,
        "position": 1,
        "digest": "d" * 43,
        "uids": "0" * 16,
        "heads": {"n-1": [1, "h"]},
        "members": {"founded": None, "admission": "open", "members": [["a", "k", 1, True, True, False]]},
        "void": [],
        "terms": {},
        "quotas": {
            "at": NOW,
            "day": NOW[:10],
            "tallies": {"a": [1, 2, "03", 1, 2, 0]},
            "muted": [["a", "b", NOW, "", ""]],
        },
        "occasions": {"done": [], "tried": {"k": [1, NOW, "why"]}},
        "refusals": {},
        "features": {},
    },
    "draft": {"actor": "alice", "type": "note", "content": "c", "timestamp": NOW, "uid": "0" * 16, "to": ["bob"]},
}


def sealed(data: dict[str, Any] | None = None, content: str = "hello") -> Event:
    draft = Draft("alice", "note", content, NOW, uid_from(b"0123456789"), data=data or {})
    return seal(draft, node="laptop-1", after=Head(), signer=signer_of("alice"), fleet=FLEET)


LINE = sealed(data={"source": {"actor": "bob"}, "n": 1}).line
GIT_WORDS = st.sampled_from(
    [
        "!\trefs/x:refs/heads/gitcoord/ledger\t[remote rejected] (",
        "failed to update ref",
        ")",
        "To x\n",
        "remote: ",
        "fatal: ",
        "repository '",
        "' not found",
        "Unable to create '",
        ".lock': File exists",
        "HTTP 401",
        "\x1b[2J",
        "secret",
        "://a@",
        "authorization: basic ",
        "\r",
        "\t",
        "cannot lock ref 'refs/x'",
        "Permission to ",
        " denied",
        "\n",
        "\0",
        "Done",
    ]
)


@st.composite
def nearly_a_line(draw: Callable[[Any], Any]) -> bytes:
    """A good line with a field changed, or bytes put into it."""
    if draw(st.booleans()):
        value = json.loads(LINE)
        for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3)):
            value[name] = draw(JSON)
        return json.dumps(value, separators=(",", ":"), ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")
    at = draw(st.integers(0, len(LINE)))
    return LINE[:at] + draw(st.binary(max_size=10)) + LINE[at + draw(st.integers(0, 10)) :]


@st.composite
def nearly_a_file(draw: Callable[[Any], Any]) -> bytes:
    """A small JSON file with a value changed."""
    value = dict(draw(st.sampled_from(sorted(SHAPES.items())))[1])
    value[draw(st.sampled_from(sorted(value)))] = draw(JSON)
    return json.dumps(value).encode("utf-8", "replace")


BYTES = st.one_of(
    st.binary(max_size=300),
    nearly_a_line(),
    nearly_a_file(),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(nearly_a_line() | st.just(LINE), max_size=4).map(b"\n".join),
    st.lists(GIT_WORDS | st.text(max_size=5), max_size=12).map(lambda words: "".join(words).encode("utf-8", "replace")),
    st.lists(st.tuples(st.sampled_from([b"40000 ", b"100644 ", b"160000 "]), st.binary(max_size=30)), max_size=4).map(
        lambda rows: b"".join(mode + name + b"\0" + bytes(20) for mode, name in rows)
    ),
)


@pytest.mark.parametrize("name", sorted(PARSERS))
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(data=BYTES)
def test_any_bytes_are_a_value_or_a_typed_error(name: str, data: bytes) -> None:
    PARSERS[name](data)


def deep(opening: bytes, closing: bytes, times: int) -> bytes:
    return opening * times + b"1" + closing * times


HUGE = {
    "empty": b"",
    "zeros": bytes(MIB),
    "newlines": b"\n" * MIB,
    "spaces": b" " * MIB,
    "deep lists": deep(b"[", b"]", 200_000),
    "deep objects": deep(b'{"fleet":', b"}", 100_000),
    "deep enough": deep(b'{"\\u0041":', b"}", 990),
    "deep in a position": b'{"schema":"gitcoord.state/4","position":' + deep(b"[", b"]", 100_000) + b"}",
    "a number without end": b'{"fleet":{"position":' + b"9" * MIB + b"}}",
    "an infinite number": b'{"fleet":{"position":1e999},"position":1e999,"seq":1e999}',
    "a long key": b'{"' + b"k" * MIB + b'":1}',
    "opening brackets": b"!\trefs/x:refs/heads/gitcoord/ledger\t[remote rejected] " + b"(" * 200_000,
    "short lines": b"".join(b"remote: line %d\n" % number for number in range(60_000)),
    "repository": b"repository '" * 80_000,
    "locks": b"Unable to create '" * 50_000,
    "permission": b"Permission to " * 70_000,
    "urls": b"://" * 300_000 + b"@",
    "headers": b"authorization: " * 60_000,
    "good lines": (LINE + b"\n") * 3000,
    "one long line": b'{"content":"' + b"x" * 2 * MIB + b'"}',
    "a position": b"Ledger position " + b"9" * 10_000,
    "tree": (b"100644 a\0" + bytes(20)) * 20_000,
    "names": b"".join(b"100644 %s%d\0" % (b"n" * 4000, number) + bytes(20) for number in range(200)),
    "parents": b"tree " + b"0" * 40 + b"\n" + (b"parent " + b"0" * 40 + b"\n") * 20_000 + b"\n",
}


@pytest.mark.parametrize("name", sorted(PARSERS))
@pytest.mark.parametrize("huge", sorted(HUGE))
def test_large_and_deep_input_takes_no_long_time(name: str, huge: str) -> None:
    begun = time.process_time()
    PARSERS[name](HUGE[huge])
    assert time.process_time() - begun < SLOW_S


@pytest.mark.parametrize("letter", ["é", "\u0661", "\U0001f600"])
def test_a_signature_or_a_time_beyond_ascii_is_wrong_and_nothing_else(letter: str) -> None:
    value = json.loads(LINE)
    for name in ("sig", "key", "timestamp"):
        line = json.dumps(value | {name: value[name][:-2] + letter + "Z"}, ensure_ascii=False, separators=(",", ":"))
        PARSERS["event"](line.encode())


def test_readers_are_listed_in_the_script_for_long_runs() -> None:
    script = Path(__file__).parents[2] / "scripts" / "fuzz"
    done = subprocess.run([sys.executable, str(script), "--list"], capture_output=True, text=True)
    assert done.stdout.split() == sorted(PARSERS), done.stderr
