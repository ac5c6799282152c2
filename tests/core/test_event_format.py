"""The format of a line is a promise: what version 1 wrote is read, checked and written the same for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gitcoord.core.event import FORMAT, Event, Head, parse, seal
from gitcoord.core.keys import Ed25519Signer, Verifier

GOLDEN = Path(__file__).parents[1] / "data" / "events_v1.log"
FLEET = "goldenfleet1"


def golden() -> list[Event]:
    return [parse(line) for line in GOLDEN.read_bytes().split(b"\n")[:-1]]


def test_lines_of_version_1_are_read_and_their_signatures_hold() -> None:
    assert FORMAT == 1
    events = golden()
    assert [event.type for event in events] == ["fleet_founded", "question", "answer", "leader_election"]
    assert [event.seq for event in events] == [None, 1, 2, None]
    assert events[2].prev == events[1].head.hash and events[2].re == events[1].uid
    for event in events:
        assert Verifier().rejects(event, FLEET) is None
        assert Verifier().rejects(event, "anotherfleet") == "wrong signature"


def test_the_same_words_are_written_as_the_same_bytes() -> None:
    signer = Ed25519Signer(hashlib.sha256(b"alice").digest())
    head = Head()
    for event in golden():
        after = None if event.seq is None else head
        again = seal(event.draft(), node=event.node, after=after, signer=signer, fleet=FLEET)
        assert again.line == event.line
        head = event.head if event.seq else head
