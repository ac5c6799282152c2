"""Work folders: each is its attempt's alone, and nothing that somebody else put there is written to or deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitcoord.core.errors import Refused
from gitcoord.node.tasks import workspace
from gitcoord.node.tasks.workspace import Workspace

UID = "63ed1cr7a5hvrkan"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def make(home: Path, task: str = UID, agent: str = "bob", attempt: int = 1) -> Workspace:
    return workspace.make(home, home, agent, task, "a title", attempt, worktree=False)


@pytest.mark.parametrize("other", [UID[:8] + "00000000", UID[:15] + "0", UID.upper(), UID, f"{UID}/../x", "../" + UID])
def test_whatever_anothers_id_is_a_folder_at_work_stays(home: Path, other: str) -> None:
    first = make(home)
    (first.folder / "precious").write_text("mine")
    second = make(home, other)
    assert second.folder != first.folder and second.note != first.note
    assert second.folder.parent == first.folder.parent == home / workspace.FOLDER
    second.leave()
    assert (first.folder / "precious").read_text() == "mine"


@pytest.mark.parametrize("agent", ["B.o b", "b-o-b", "B" * 63])
def test_agents_whose_names_look_alike_have_each_their_own(home: Path, agent: str) -> None:
    assert make(home, agent=agent).folder != make(home, agent="b_o_b").folder


@pytest.mark.parametrize("what", ["folder", "file", "link", "dangling link"])
def test_what_has_the_name_already_is_left_as_it_is(home: Path, tmp_path: Path, what: str) -> None:
    place = make(home)
    place.leave()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "precious").write_text("mine")
    if what == "folder":
        (tmp_path / "theirs").rename(place.folder)
    elif what == "file":
        place.folder.write_text("mine")
    else:
        place.folder.symlink_to(tmp_path / ("theirs" if what == "link" else "nowhere"))
    again = make(home)
    assert again.folder != place.folder and list(again.folder.iterdir()) == []
    if what in ("folder", "link"):
        assert (place.folder / "precious").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_in_the_place_of_all_work_folders_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (home / workspace.FOLDER).symlink_to(tmp_path / "theirs")
    with pytest.raises(Refused, match="is no folder"):
        make(home)
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_folder_that_a_link_has_replaced_costs_nothing_but_the_link(home: Path, tmp_path: Path) -> None:
    place = make(home)
    (tmp_path / "precious").mkdir()
    place.folder.rmdir()
    place.folder.symlink_to(tmp_path / "precious")
    place.leave()
    assert (tmp_path / "precious").is_dir() and not place.folder.is_symlink()


def test_a_folder_that_is_gone_is_left_without_a_word(home: Path) -> None:
    place = make(home)
    place.folder.rmdir()
    assert place.leave() == ""


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b"x" * 100_000,
        *(json.dumps({"task": UID, "attempt": 1, "agent": "bob", "pid": pid}).encode() for pid in (10**30, -1)),
    ],
)
def test_a_note_that_is_none_is_removed_and_ends_nothing(home: Path, note: bytes) -> None:
    place = make(home)
    place.note.write_bytes(note)
    (place.folder.parent / "a folder.json").mkdir()
    assert workspace.clear(home, home, "bob") == []
    assert not place.note.exists()


def test_what_was_cut_off_is_told_and_cleared(home: Path) -> None:
    place = make(home)
    place.occupied_by(0, UID, 1, "bob")
    assert workspace.clear(home, home, "alice") == [] and place.folder.exists()
    assert workspace.clear(home, home, "BOB") == [workspace.Leftover(UID, 1)]
    assert list(place.folder.parent.iterdir()) == []
