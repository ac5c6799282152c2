"""Work begins where the remote's default branch is now; what is not the remote's, or not fresh, is said so."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitcoord.core.errors import Denied, GitcoordError, Refused, Unreachable
from gitcoord.store.git import code_remote, worktrees


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, name: str) -> str:
    (folder / name).write_text(f"{name}\n")
    git(folder, "add", name)
    git(folder, "commit", "-q", "-m", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A clone whose remote's default branch is `trunk`; `theirs` is another clone of the remote."""
    git(tmp_path, "init", "-q", "--bare", "-b", "trunk", "remote.git")
    git(tmp_path, "clone", "-q", "remote.git", "theirs")
    commit(tmp_path / "theirs", "first")
    git(tmp_path / "theirs", "push", "-q", "origin", "trunk", "trunk:old")
    git(tmp_path, "clone", "-q", "remote.git", "top")
    return tmp_path / "top"


def test_it_begins_at_the_default_branch_as_it_is_now(top: Path) -> None:
    new = commit(top.parent / "theirs", "second")
    git(top.parent / "theirs", "push", "-q", "origin", "trunk", "trunk:ada")
    commit(top, "mine")  # somebody's unpushed HEAD
    first, taken = code_remote.base(top, "", names=["ada", "bo"], fetches=False)
    assert (first.commit, worktrees.tip(top, new)) == (new, "")
    found, taken = code_remote.base(top, "", names=["ada", "bo"])
    assert (found.commit, found.branch, found.remote, found.note, taken) == (new, "trunk", "origin", "", {"ada"})
    assert found.words == f"origin/trunk ({new[:7]})" and git(top, "rev-parse", "origin/trunk") == new
    assert not (top / ".git" / "FETCH_HEAD").exists() and git(top, "status", "--porcelain") == ""
    assert code_remote.base(top, "", "old")[0].commit == code_remote.base(top, "", "origin/old")[0].commit != new


def test_what_is_not_as_the_remote_has_it_now_is_said(top: Path) -> None:
    seen = git(top, "rev-parse", "origin/trunk")
    mine = commit(top, "mine")
    git(top, "branch", "only-here")
    own, _ = code_remote.base(top, "", "only-here")
    assert (own.commit, own.remote) == (mine, "") and "origin has no branch only-here" in own.note
    with pytest.raises(Refused, match="no branch of that name"):
        code_remote.base(top, "", "nowhere")
    (top.parent / "remote.git").rename(top.parent / "away")
    offline, _ = code_remote.base(top, "")
    assert offline.commit == seen and "origin gave no answer" in offline.note and "saw last" in offline.note
    with pytest.raises(Unreachable, match="no copy of its branch nowhere"):
        code_remote.base(top, "", "nowhere")
    git(top, "remote", "remove", "origin")
    assert "has no remote" in code_remote.base(top, "")[0].note
    with pytest.raises(Unreachable):
        code_remote.base(top, str(top.parent / "nowhere.git"))


def test_a_remote_without_code_and_a_clone_without_commits(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "ledger.git")
    git(tmp_path, "init", "-q", "top")
    with pytest.raises(Refused, match="has no branch yet.*commit something first"):
        code_remote.base(tmp_path / "top", str(tmp_path / "ledger.git"))
    mine = commit(tmp_path / "top", "mine")
    assert code_remote.base(tmp_path / "top", str(tmp_path / "ledger.git"))[0].commit == mine


def test_a_remote_whose_head_names_no_branch_that_is_there_has_the_usual_ones(top: Path) -> None:
    remote = top.parent / "remote.git"
    git(remote, "symbolic-ref", "HEAD", "refs/heads/gone")
    assert code_remote.base(top, "")[0].note.startswith("origin has no branch yet")
    git(remote, "branch", "master", "trunk")
    found, _ = code_remote.base(top, "")
    assert (found.branch, found.remote, found.note) == ("master", "origin", "")
    git(remote, "update-ref", "--no-deref", "HEAD", git(remote, "rev-parse", "trunk"))
    assert code_remote.base(top, "")[0].branch == "master"


def test_the_fleets_remote_counts_only_where_the_clone_has_no_origin(top: Path) -> None:
    for remotes, fleet, chosen in (
        (("origin", "other"), "other", "origin"),
        (("one", "other"), "other", "other"),
        (("one", "other"), "/ledger.git", "/ledger.git"),
        (("one",), "/ledger.git", "one"),
        ((), "/ledger.git", "/ledger.git"),
    ):
        for name in git(top, "remote").split():
            git(top, "remote", "remove", name)
        for name in remotes:
            git(top, "remote", "add", name, str(top.parent / "remote.git"))
        found = code_remote.find(top, fleet)
        assert found is not None and found.shown == chosen


def test_a_push_runs_the_clones_own_hooks_and_none_of_a_branch(top: Path) -> None:
    (top / ".hooks").mkdir()
    for place in (top / ".hooks" / "pre-push", top / ".git" / "hooks" / "pre-push"):
        place.write_text(f"#!/bin/sh\ntouch {top.parent}/ran-{place.parent.name}\n")
        place.chmod(0o755)
    git(top, "config", "core.hooksPath", ".hooks")
    git(top, "branch", "ada")
    assert code_remote.push(top, "", ["ada"]) == "origin"
    assert (top.parent / "ran-hooks").exists() and not (top.parent / "ran-.hooks").exists()
    assert git(top.parent / "remote.git", "rev-parse", "ada") == git(top, "rev-parse", "ada")


def test_why_a_push_fails_is_said_without_a_secret(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(top, "branch", "ada")
    hook = top.parent / "remote.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho branches are protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Denied, match="branches are protected"):
        code_remote.push(top, "", ["ada"])
    monkeypatch.setenv("GITCOORD_TOKEN", "s3cret-token-of-a-test")
    git(top, "remote", "set-url", "origin", "http://127.0.0.1:9/x.git")
    with pytest.raises(GitcoordError) as wrong:
        code_remote.push(top, "", ["ada"])
    assert "s3cret" not in str(wrong.value) and "GITCOORD_ASKPASS_TOKEN" not in os.environ
