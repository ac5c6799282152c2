"""The format of a line is a promise: what version 2 wrote is read, checked and written the same forever."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import FORMAT, Event, Head, fleet_id_of, parse, seal
from gitcoord.core.format.keys import Ed25519Signer, Verifier
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.format.vouches import node_id, vouch

DATA = Path(__file__).parents[2] / "data"
FLEET = "251w27dqvn9dnbkp9g84vb9vn61g4hxg"
UIDS = ["3cwgv624f8rkev4a", "0ndg7phhb1vkz443", "wkr02vbg5w0seb2x", "1kkx19z404t1kj30", "xgbgfv7p7vss6enz"]


def lines(version: int) -> list[bytes]:
    return (DATA / f"events_v{version}.log").read_bytes().split(b"\n")[:-1]


def golden() -> list[Event]:
    return [parse(line) for line in lines(2)]


def test_lines_of_version_2_are_read_and_their_signatures_hold() -> None:
    assert FORMAT == 2
    events = golden()
    assert [event.type for event in events] == ["fleet_founded", "question", "answer", "leader_election", "note"]
    assert [event.seq for event in events] == [None, 1, 2, None, 1]
    assert [event.uid for event in events] == UIDS
    assert events[2].prev == events[1].head.hash and events[2].re == events[1].uid
    assert fleet_id_of(events[0].line) == FLEET
    for event in events:
        assert Verifier().rejects(event, FLEET) is None
    for event in events[1:]:
        assert Verifier().rejects(event, "anotherfleet") == "wrong signature"


def test_the_same_words_are_written_as_the_same_bytes() -> None:
    signer = Ed25519Signer(hashlib.sha256(b"alice").digest())
    laptop = Ed25519Signer(hashlib.sha256(b"laptop").digest())
    head = Head()
    for event in golden():
        after = None if event.seq is None else head if event.seq > 1 else Head()
        vouched = vouch(laptop, event.node, signer.key, FLEET) if event.vouch else None
        again = seal(event.draft(), node=event.node, after=after, signer=signer, fleet=FLEET, vouch=vouched)
        assert again.line == event.line
        head = event.head if event.seq else head
    assert event.vouch and event.node == node_id("laptop", laptop.key)


def test_a_line_of_version_1_is_told_by_its_version() -> None:
    for line in lines(1):
        with pytest.raises(Malformed, match="written by format 1 of gitcoord's events; this version reads and writes"):
            parse(line)
    with pytest.raises(Inadmissible, match="format 1"):
        FleetState({}).append(lines(1)[0])
