"""Moves: an admin ends the ledger at one remote and opens it at another; nobody else can send anybody anywhere."""

from __future__ import annotations

import json

import pytest

from gitcoord.core.fleet_state import FleetState
from gitcoord.features import FEATURES
from gitcoord.node.config import fleet_profile
from tests.core.lines import Story

TO = {"to": "git@forge.example:owner/repo.git", "profile": "github"}


def test_only_an_admin_moves_the_fleet_and_opens_it_again() -> None:
    story = Story().founded("alice").joined("bob")
    assert "only an admin may" in str(story.say("bob", "fleet_moved", data=TO).void)
    assert not story.fleet.moves.under_way and not story.fleet.moves.to and fleet_profile(story.fleet) == "local"
    moved = story.say("alice", "fleet_moved", data=TO)
    assert moved.void is None and story.fleet.moves.under_way and story.fleet.moves.by == "alice"
    assert "is moving to" in str(story.say("alice", "fleet_moved", data={**TO, "to": "/elsewhere"}).void)
    assert "only an admin may" in str(story.say("bob", "fleet_arrived", re=moved.event.uid).void)
    assert story.say("alice", "fleet_arrived", re="0" * 16).void == "no such move is under way"
    again = FleetState.load(json.loads(json.dumps(story.fleet.dump())), FEATURES)
    assert again.moves == story.fleet.moves
    assert story.say("alice", "fleet_arrived", re=moved.event.uid).void is None
    assert not story.fleet.moves.under_way and fleet_profile(story.fleet) == "github"
    assert story.say("alice", "fleet_arrived", re=moved.event.uid).void == "no such move is under way"
    assert story.say("alice", "fleet_moved", data={**TO, "to": "/back"}).void is None


@pytest.mark.parametrize(
    "address",
    [
        "https://forge.example/owner/repo.git",
        "https://forge.example:8443/owner/repo",
        "http://localhost:3000/r.git",
        "ssh://git@forge.example:22/r.git",
        "git@forge.example:owner/repo.git",
        "forge:/srv/r.git",
        "file:///srv/r.git",
        "/srv/the register/r.git",
    ],
)
def test_a_fleet_moves_to_what_git_reaches_without_a_login(address: str) -> None:
    story = Story().founded("alice")
    assert story.say("alice", "fleet_moved", data={**TO, "to": address}).void is None


@pytest.mark.parametrize(
    "address",
    [
        "ext::sh -c 'touch /tmp/x'",
        "fd::7",
        "--upload-pack=/tmp/x",
        "-oProxyCommand=x:y",
        "https://user:secret@forge.example/r.git",
        "https://ghp_token@forge.example/r.git",
        "https://forge.example/r.git?token=x",
        "http://forge.example/r.git",
        "git://forge.example/r.git",
        "ssh://git:secret@forge.example/r.git",
        "ssh://-oProxyCommand=x/r.git",
        "relative/path",
        "origin",
        "https://forge.example/a b",
        "/srv/\u202er.git",
        "/srv/r.git\n",
        "",
        "/" + "x" * 600,
    ],
)
def test_an_address_by_which_git_would_do_anything_else_has_no_effect(address: str) -> None:
    story = Story().founded("alice")
    assert "its data is wrong" in str(story.say("alice", "fleet_moved", data={**TO, "to": address}).void)
    assert not story.fleet.moves.to
