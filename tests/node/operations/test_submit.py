"""Acting: what a command asks for is written whole, and what changed nothing is no success."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import gitcoord
from gitcoord.core.commands import NewEvent
from gitcoord.core.errors import NoEffect
from gitcoord.core.feature import Duty
from gitcoord.core.format.event import Draft
from gitcoord.node.clock import new_uid, utc_now
from gitcoord.node.membership.api import Member
from gitcoord.node.operations import submit
from tests.core.lines import Story


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Member]:
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        yield me


def test_no_field_of_a_proposal_or_a_duty_is_dropped(alice: Member) -> None:
    said: dict[str, Any] = {"type": "note", "content": "c", "data": {"a": 1}, "to": ("bob",), "re": "0" * 16}
    proposal = NewEvent(**said, interaction=7)
    [draft] = alice.node.drafted([proposal], actor="alice")
    assert all(getattr(draft, field.name) == getattr(proposal, field.name) for field in dataclasses.fields(NewEvent))
    duty = Duty(**said, key="occasion")
    of_duty = duty.draft(actor="alice", term=3, timestamp=utc_now(), uid=new_uid())
    for field in dataclasses.fields(Duty):
        expected = {"a": 1, "duty": "occasion"} if field.name == "data" else getattr(duty, field.name)
        assert field.name == "key" or getattr(of_duty, field.name) == expected
    assert of_duty.term == 3


def test_the_reason_is_that_of_the_event_and_not_of_another_of_its_type() -> None:
    story = Story().founded().joined("bob")
    first = story.say("bob", "config_changed", data={"nonsense": 1})
    story.say("mallory", "config_changed", data={"set": {"recent": 5}})
    assert submit.why_without_effect(cast(Any, SimpleNamespace(fleet=story.fleet)), first.event) == first.void


@pytest.mark.parametrize("folded_here", [True, False])
def test_the_python_interface_tells_what_changed_nothing(alice: Member, folded_here: bool) -> None:
    with pytest.raises(NoEffect, match="its data is wrong: set"):
        alice.append("config_changed", "x", data={"nonsense": 1}, wait="sequenced")
    assert alice.append("note", "x", wait="sequenced").position == 3
    event = alice.append("task_assigned", "x", re="0" * 16, data={"agent": "alice", "attempt": 1}).event
    alice.sync()
    if folded_here:
        alice.node.home.save_progress(type(alice.node.home.progress())())
    with pytest.raises(NoEffect, match="has no effect: .*only the leader"):
        alice.node.confirm(event, "sequenced", timeout_s=30)


def test_other_words_under_the_same_nonce_are_no_success(alice: Member) -> None:
    nonce = new_uid()
    [first] = alice.node.append(Draft("alice", "note", "first", utc_now(), nonce))
    assert alice.node.confirm(first, "sequenced", timeout_s=30)[0] == "sequenced"
    alice.sync()
    [second] = alice.node.append(Draft("alice", "note", "second", utc_now(), nonce))
    with pytest.raises(NoEffect, match="the same event as at position 2"):
        alice.node.confirm(second, "sequenced", timeout_s=30)
    assert alice.node.confirm(first, "sequenced", timeout_s=30)[0] == "sequenced"


def test_what_another_writes_in_our_name_with_our_nonce_is_not_taken_for_ours(alice: Member, tmp_path: Path) -> None:
    """A line of another key with the actor and the nonce of one that still waits here."""
    from gitcoord.core.format.event import Head, seal
    from gitcoord.core.format.keys import Ed25519Signer

    alice.append("note", "first", wait="sequenced")
    [mine] = alice.node.append(alice.node.draft("note", "mine", actor="alice"))
    forged = seal(
        dataclasses.replace(mine.draft(), content="forged"),
        node="mallory-1",
        after=Head(),
        signer=Ed25519Signer(b"m" * 32),
        fleet=alice.node.fleet.id or "",
    )
    branch = alice.node.replica.branch
    commit = alice.node.store.put_commit(
        tree=branch.write(branch.extend([forged.line]), {}),
        parents=[branch.tip or ""],
        message="x",
        author="mallory",
        time_s=0,
    )
    from gitcoord.core.ports import Update

    alice.node.store.push([Update(alice.node.config.ledger, branch.tip, commit)])
    assert alice.node.confirm(mine, "sequenced", timeout_s=30) == ("sequenced", 4)
    assert [event.content for _, event in alice.node.events(2)] == ["forged", "mine"]
