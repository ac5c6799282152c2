"""Where a path stands is found in the files, as git would answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitcoord.core.errors import Refused
from gitcoord.store.git.repo_location import common_dir, from_top, plain_common_dir, worktree_name


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    path = tmp_path / "a clone"
    path.mkdir()
    git(path, "init", "--quiet")
    git(path, "commit", "--quiet", "--allow-empty", "-m", "first")
    return path


def asked(path: Path) -> Path:
    """What git says."""
    return (path / git(path, "rev-parse", "--git-common-dir")).resolve()


def test_a_clone_and_a_folder_in_it(clone: Path) -> None:
    (clone / "deep" / "er").mkdir(parents=True)
    assert plain_common_dir(clone) == plain_common_dir(clone / "deep" / "er") == asked(clone)
    assert worktree_name(clone / "deep") == ""


def test_linked_work_trees_share_the_clones(clone: Path, tmp_path: Path) -> None:
    tree = tmp_path / "a tree"
    git(clone, "worktree", "add", "--quiet", "-b", "side", str(tree))
    (tree / "deep").mkdir()
    assert plain_common_dir(tree) == plain_common_dir(tree / "deep") == asked(tree) == plain_common_dir(clone)
    assert worktree_name(tree / "deep") == "a-tree"


def test_what_is_odd_is_left_to_git(clone: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(clone), str(other))
    git(clone, "submodule", "--quiet", "add", str(other), "sub")
    assert plain_common_dir(clone / "sub") is None
    assert common_dir(clone / "sub") == asked(clone / "sub")
    assert plain_common_dir(clone / ".git" / "objects") is None
    assert common_dir(clone / ".git" / "objects") == asked(clone / ".git")


@pytest.mark.parametrize("words", ["", "gitdir: /nowhere", "gitdir: .", "\xff"])
def test_a_damaged_link_is_no_plain_clone(tmp_path: Path, words: str) -> None:
    (tmp_path / ".git").write_text(words, encoding="latin-1")
    assert plain_common_dir(tmp_path) is None


def test_outside_of_any_there_is_none(tmp_path: Path) -> None:
    assert common_dir(tmp_path) is None and common_dir(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "below, text, found",
    [
        ("", "src/a.py", "src/a.py"),
        ("", "./src//auth/", "src/auth"),
        ("", "src/../b", "b"),
        ("src", "a.py", "src/a.py"),
        ("src", "../b/*.py", "b/*.py"),
        ("src", ".", "src"),
        ("", ".", "**"),
        ("src", "{top}/c/**", "c/**"),
        ("src", "{tree}/c", "c"),
        ("", "{link}/c", "c"),
        ("", "{top}", "**"),
    ],
)
def test_a_path_is_taken_as_git_takes_it(clone: Path, tmp_path: Path, below: str, text: str, found: str) -> None:
    tree = tmp_path / "a tree"
    git(clone, "worktree", "add", "--quiet", "-b", "side", str(tree))
    (tmp_path / "link").symlink_to(clone)
    (clone / "src").mkdir(exist_ok=True)
    given = text.format(top=clone, tree=tree, link=tmp_path / "link")
    assert from_top(clone / below, given) == found


@pytest.mark.parametrize("text", ["../x", "src/../../x", "/elsewhere/x", "/"])
def test_a_path_outside_of_the_work_tree_is_refused(clone: Path, text: str) -> None:
    with pytest.raises(Refused):
        from_top(clone, text)
