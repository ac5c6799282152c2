"""Trial merges: judged as `git merge` judges, and the repository is left as it was."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from gitcoord.code import git_oracle, merges
from gitcoord.code.objects import Repository
from gitcoord.core.errors import GitcoordError, Refused
from tests.code.kinds import Builder

BUNDLE = Path(__file__).resolve().parents[1] / "data" / "merges.bundle"
KINDS = {
    "content": {"text": "content"},
    "two-hunks": {"code.py": "content"},
    "clean": {},
    "same": {},
    "apart": {},
    "deleted": {"text": "delete"},
    "binary": {"binary": "binary"},
    "mode": {},
    "both-added": {"new": "content"},
    "renamed-twice": {"text": "rename", "text-a": "rename", "text-b": "rename"},
    "renamed-and-deleted": {"text-a": "rename"},
    "renamed-and-changed": {"text-a": "content"},
    "renamed-and-changed-elsewhere": {},
    "odd-name": {"name with spaces and ü": "content"},
    "markers": {"text": "content"},
    "submodule": {"module": "submodule"},
    "crossed": {"text": "content"},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the bundle, with all its branches."""
    folder = tmp_path_factory.mktemp("merges") / "repository"
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(BUNDLE), str(folder / ".git")], check=True)
    subprocess.run(["git", "-C", str(folder), "config", "core.bare", "false"], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", "--force", "main"], check=True)
    return folder


def trial(path: Path, kind: str) -> merges.Merge:
    with Repository(path) as repository:
        [merge] = merges.trial(repository, [(repository.commit(f"{kind}-a"), repository.commit(f"{kind}-b"))])
        return merge


def test_every_merge_of_the_bundle_is_judged_as_by_git_merge(path: Path) -> None:
    compared = git_oracle.compare(path)
    assert compared.differing == []
    assert (compared.merges, compared.conflicting) == (23, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_each_conflict(path: Path, kind: str) -> None:
    assert {one.path: one.kind for one in trial(path, kind).conflicted} == KINDS[kind]


@pytest.mark.parametrize("kind", ["folder-renamed", "file-and-folder", "file-to-folder", "symlink"])
def test_kinds_that_git_words_differently_in_each_version(path: Path, kind: str) -> None:
    merge = trial(path, kind)
    assert not merge.clean and all(one.kind in (*merges.KINDS.values(), "delete") for one in merge.conflicted)


def test_the_same_file_with_two_modes_is_a_conflict_of_modes(tmp_path: Path) -> None:
    make = Builder(tmp_path)
    make.commit("base")
    make.kind(
        "mode", lambda b: (b.write("new", "x\n"), (b.folder / "new").chmod(0o755)), lambda b: b.write("new", "x\n")
    )
    assert {one.path: one.kind for one in trial(tmp_path, "mode").conflicted} == {"new": "mode"}


def test_many_pairs_are_merged_by_one_process_in_their_order(path: Path) -> None:
    with Repository(path) as repository:
        pairs = [(repository.commit(f"{kind}-a"), repository.commit(f"{kind}-b")) for kind in KINDS] * 3
        assert [merge.clean for merge in merges.trial(repository, pairs)] == [not found for found in KINDS.values()] * 3
        assert list(merges.trial(repository, [])) == []


def test_nothing_in_the_repository_is_changed_and_nothing_is_left_elsewhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = fingerprint(path)
    for kind in KINDS:
        trial(path, kind)
    assert fingerprint(path) == before
    assert list(tmp_path.iterdir()) == []


def fingerprint(path: Path) -> dict[str, str]:
    """Every file in the repository and its work tree, with its content. (Git notes a pack's use in its time.)"""
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder, _, names in os.walk(path)
        for file in (Path(folder) / name for name in names)
    }


def test_what_is_no_branch_and_no_repository_is_refused(path: Path, tmp_path: Path) -> None:
    with Repository(path) as repository:
        for name in ("nothing", "--help", "main:text", ""):
            with pytest.raises(Refused, match="no branch or commit"):
                repository.commit(name)
        with pytest.raises(GitcoordError, match="merge-tree"):
            list(merges.trial(repository, [("1" * 40, "2" * 40)]))
    with pytest.raises(Refused, match="is in no git repository"):
        Repository(tmp_path)
