"""Work files: no link of a branch leads our reads or writes elsewhere, and no pipe keeps us waiting."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gitcoord.core.errors import Refused
from gitcoord.github import workflows
from gitcoord.node.fleet import fleet_file
from gitcoord.node.membership import agent_guide
from gitcoord.node.operations import local_pages
from gitcoord.store import work_files

Write = Callable[[Path], object]

WRITERS: dict[str, tuple[str, Write]] = {
    "the guide": ("AGENTS.md", lambda top: agent_guide.write(top / "AGENTS.md", top)),
    "the guide in a folder": ("docs/AGENTS.md", lambda top: agent_guide.write(top / "docs" / "AGENTS.md", top)),
    "a page": ("communication.md", lambda top: local_pages.put_pages(top, {"communication.md": b"page"})),
    "the page before": (
        "communication.md.bak",
        lambda top: [
            (top / "communication.md").write_bytes(b"old\n" + local_pages.snapshot.END.encode() + b"\n"),
            local_pages.put_pages(top, {"communication.md": b"page"}),
        ],
    ),
    "an archive": ("archive/1.md", lambda top: local_pages.put_pages(top, {"archive/1.md": b"page"})),
    "a workflow": (".github/workflows/gitcoord-leader.yml", lambda top: workflows.write(top, "gitcoord", force=True)),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What is not in the tree, and must be as it is when a test is over."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("mine\n")
    return tmp_path / "outside"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "clone" / ".git" / "hooks").mkdir(parents=True)
    return tmp_path / "clone"


def untouched(outside: Path) -> bool:
    return [(path.name, path.read_text()) for path in outside.iterdir()] == [("precious", "mine\n")]


LINKS = ("to a file", "dangling", "of its folder", "beside it", "into .git", "in a circle")


@pytest.mark.parametrize(
    "name, link",
    [(name, link) for name, (path, _) in WRITERS.items() for link in LINKS if "/" in path or link != "of its folder"],
)
def test_no_link_leads_out_of_the_tree(top: Path, outside: Path, name: str, link: str) -> None:
    path, write = WRITERS[name]
    file = top / path
    if link == "of its folder":
        (top / Path(path).parts[0]).symlink_to(outside)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        placed = file.with_name(file.name + ".new") if link == "beside it" else file
        placed.symlink_to(
            {
                "to a file": outside / "precious",
                "dangling": outside / "new",
                "beside it": outside / "precious",
                "into .git": top / ".git" / "hooks" / "pre-commit",
                "in a circle": file,
            }[link]
        )
    if link == "beside it":
        write(top)
        assert file.is_file() and not file.is_symlink()
    else:
        with pytest.raises(Refused, match="link|leads nowhere"):
            write(top)
    assert untouched(outside) and list((top / ".git" / "hooks").iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_what_is_no_file_is_neither_read_nor_replaced(top: Path, name: str, what: str) -> None:
    path, write = WRITERS[name]
    file = top / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if what == "pipe":
        os.mkfifo(file)
    elif what == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(Refused):
        write(top)
    assert file.exists()


@pytest.mark.parametrize("name", WRITERS)
def test_the_other_names_of_a_file_keep_what_they_hold(top: Path, outside: Path, name: str) -> None:
    path, write = WRITERS[name]
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).hardlink_to(outside / "precious")
    write(top)
    assert untouched(outside) and (top / path).read_text() != "mine\n"


def test_a_file_with_other_names_is_not_added_to(top: Path, outside: Path) -> None:
    (top / "events.log").hardlink_to(outside / "precious")
    work_files.append(top / "events.log", top, b"more\n", old=b"mine\n")
    assert untouched(outside) and (top / "events.log").read_text() == "mine\nmore\n"
    work_files.append(top / "events.log", top, b"end\n", old=b"mine\nmore\n")
    assert (top / "events.log").read_text() == "mine\nmore\nend\n"


def test_a_link_within_the_tree_is_followed_and_a_path_that_the_user_named_is_the_users(
    top: Path, outside: Path
) -> None:
    (top / "CLAUDE.md").symlink_to("docs/AGENTS.md")
    work_files.write(top / "CLAUDE.md", top, b"x")
    assert (top / "docs" / "AGENTS.md").read_bytes() == b"x" and (top / "CLAUDE.md").is_symlink()
    work_files.write(outside / "new", top, b"x")
    assert (outside / "new").read_bytes() == b"x"


def test_a_folder_for_pages_that_a_branch_made_a_link_is_refused(top: Path, outside: Path) -> None:
    (top / "pages").symlink_to(outside)
    with pytest.raises(Refused, match="leads out of"):
        work_files.check_folder(top / "pages", top)
    with pytest.raises(Refused, match="leads out of"):
        work_files.check_folder(top / "pages" / "deeper", top)
    work_files.check_folder(outside, top)


def test_the_layout_of_old_is_made_beside_links_not_through_them(top: Path, outside: Path) -> None:
    (top / "events.log").symlink_to(outside / "new")
    (top / "scripts").symlink_to(outside / "scripts")
    assert local_pages.write_baseline(top) == ["communication.md", "archive.md"]
    assert untouched(outside)


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_a_fleet_file_that_is_no_file_is_refused(top: Path, what: str) -> None:
    file = top / "fleet.toml"
    if what == "pipe":
        os.mkfifo(file)
    elif what == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(Refused):
        fleet_file.read(file)
