"""`gitcoord worktree`: an agent per work tree in one step, and an end with which nothing is lost."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from gitcoord.node.membership import joining
from gitcoord.store.git import worktrees
from tests.cli.clones import Clone


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path, name: str) -> None:
    (folder / name).write_text(f"{name}\n")
    git(folder, "add", name)
    git(folder, "commit", "-q", "-m", name)


@pytest.fixture
def work(tmp_path: Path) -> Clone:
    """A clone of a remote with one commit, in whose fleet ann is."""
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    git(tmp_path, "clone", "-q", "remote.git", "work")
    clone = Clone(tmp_path / "work", tmp_path / "remote.git", "ann")
    commit(clone.path, "first")
    git(clone.path, "push", "-q", "origin", "main")
    clone("init", "--agent", "ann")
    return clone


def left(clone: Clone) -> object:
    """All that a work tree leaves: folders, branches, git's list, the fleet's members, and keys."""
    members = [one["agent"] for one in clone("agent", "list", "--json").json()["items"]]
    keys = sorted(path.name for path in (clone.home / "keys").iterdir())
    folders = sorted(path.name for path in clone.path.parent.iterdir())
    return folders, git(clone.path, "branch"), git(clone.path, "worktree", "list"), members, keys


def test_two_agents_at_work_in_one_step_and_back(work: Clone) -> None:
    before = left(work)
    commit(work.path, "mine")
    dry = work("worktree", "add", "ada", "bo", "--client", "claude", "--dry-run")
    assert dry.out.count("would ") == 5 and "begin without it" in json.dumps(
        work("worktree", "add", "ada", "--dry-run", "--json").json()["notes"]
    )
    git(work.path, "reset", "-q", "--hard", "HEAD~")
    assert left(work) == before
    said = work("worktree", "add", "ada", "bo", "--client", "claude").out
    assert "ada in ../work-ada, on the new branch ada at origin/main" in said and "cd ../work-ada && claude" in said
    ada, bo = (Clone(work.path.with_name(f"work-{name}"), work.remote, name) for name in ("ada", "bo"))
    assert "ada: the agent of this work tree" in ada("whoami").out and (bo.path / ".mcp.json").exists()
    ada("task", "create", "Fix it")
    ada("next", "--claim")
    ada("reserve", "src")
    commit(ada.path, "done")
    (bo.path / "notes").write_text("precious")
    rows = {one["agent"]: one for one in work("worktree", "list", "--json").json()["items"]}
    assert (rows["ada"]["ahead"], rows["ada"]["unsaved"], rows["ada"]["branch"]) == (1, "", "ada")
    assert rows["bo"]["unsaved"] == "files that are not committed (notes)" and list(rows) == ["ann", "ada", "bo"]
    assert "work-bo" in work("worktree", "list").out

    refused = work("worktree", "remove", "bo", code=2).err
    assert "notes" in refused and "stash -u" in refused and (bo.path / "notes").exists()
    assert "run the command in another folder" in ada("worktree", "remove", "ada", code=2).err
    assert "the clone itself" in work("worktree", "remove", ".", code=2).err
    dry = work("worktree", "remove", "ada", "--dry-run")
    assert "would write paths_released" in dry.out and ada.path.exists()
    gone = work("worktree", "remove", "ada").out
    assert "the branch ada is kept: it has 1 commit that origin/main" in gone and not ada.path.exists()
    (task,) = work("task", "list", "--json").json()["items"]
    assert (task["status"], task["branch"], task["agent"]) == ("ready", "ada", None)
    assert work("reservations", "--json").json()["items"] == []
    (bo.path / "notes").unlink()
    assert "deleted the branch bo" in work("worktree", "remove", "bo", "--json").json()["did"][-1]
    assert git(work.path, "branch", "--format=%(refname:short)").split() == ["ada", "main"]
    assert "no work tree 'bo'" in work("worktree", "remove", "bo", code=2).err


def test_a_name_that_is_not_free_is_refused_before_anything_is_made(work: Clone) -> None:
    work("worktree", "add", "w", "--count", "2", "--path", "../trees/{name}")
    assert (work.path.parent / "trees" / "w-2").is_dir()
    git(work.path, "branch", "taken")
    git(work.path, "push", "-q", "origin", "main:remotely")
    (work.path.with_name("work-there")).mkdir()
    before = left(work)
    for names, why in {
        "w-1": "work tree .*remove w-1",
        "ann": "the agent of the clone",
        "taken": "worktree add .*init --agent taken",
        "remotely": "origin has a branch",
        "there": "--path",
        "a a": "given twice",
        "a.lock": "git does not accept the branch name",
        "leader": "word with a meaning of its own",
    }.items():
        for more in ([], ["--dry-run"]):
            wrong = work("worktree", "add", "fine", *names.split(), *more, code=2).err
            assert re.search(why, wrong), wrong
    work("worktree", "add", "a", "b", "--count", "2", code=2)
    assert "put {name} where" in work("worktree", "add", "a", "b", "--path", "../x", code=2).err
    with work.outage():
        assert "cannot be reached" in work("worktree", "add", "zoe", code=4).err
    assert left(work) == before


def test_a_failure_part_way_leaves_nothing_behind(work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    before = left(work)
    real, calls = worktrees.add, []

    def second_fails(*words: Path, **more: object) -> None:
        calls.append(words)
        real(*words, **more)  # type: ignore[arg-type]
        if len(calls) == 2:
            raise worktrees.GitcoordError("no space left on device")

    monkeypatch.setattr(worktrees, "add", second_fails)
    said = work("worktree", "add", "ada", "bo", "cy", code=1).err
    assert "no space left" in said and "Nothing was made" in said and left(work) == before
    monkeypatch.undo()
    (work.path / "CLAUDE.md").mkdir()  # setup cannot write there
    (work.path / "CLAUDE.md" / "x").write_text("x")
    commit(work.path, "CLAUDE.md/x")
    git(work.path, "push", "-q", "origin", "main")
    said = work("worktree", "add", "ada", "--client", "claude", code=2).err
    assert "CLAUDE.md" in said and "Nothing was made" in said
    real_join = joining.join

    def bo_is_lost(*words: object) -> object:
        return {**real_join(*words), "bo": joining.Refused("bo is in this fleet already")}  # type: ignore[arg-type]

    monkeypatch.setattr(joining, "join", bo_is_lost)
    said = work("worktree", "add", "ada", "bo", code=2).err
    assert "bo: not made (bo is in this fleet already). Made: ada in" in said
    assert git(work.path, "branch", "--format=%(refname:short)").split() == ["ada", "main"]
    assert "ada: the agent" in work("-C", "../work-ada", "whoami").out


def test_a_removal_that_was_cut_off_is_done_by_the_next_one(work: Clone) -> None:
    work("worktree", "add", "ada", "bo")
    git(work.path, "worktree", "remove", "--force", "../work-ada")
    assert "ada leaves" in work("worktree", "remove", "ada").out
    git(work.path, "worktree", "lock", "../work-bo")
    assert "locked" in work("worktree", "remove", "bo", code=1).err
    assert (
        "bo: the agent" in work("-C", "../work-bo", "whoami").out and "member" in work("-C", "../work-bo", "whoami").out
    )
    git(work.path, "worktree", "unlock", "../work-bo")
    git(work.path.with_name("work-bo"), "switch", "-q", "--detach")
    commit(work.path.with_name("work-bo"), "precious")
    assert "made the branch bo-left" in work("worktree", "remove", "../work-bo").out
    assert git(work.path, "log", "-1", "--format=%s", "bo-left") == "precious"


def test_a_bare_clone_and_a_submodule_have_worktrees_as_well(work: Clone) -> None:
    top, submodule = work.path.parent, ["-c", "protocol.file.allow=always", "submodule", "-q", "add", str(work.remote)]
    git(top, "clone", "-q", "--bare", "remote.git", "bare.git")
    git(top / "bare.git", "worktree", "add", "-q", "../own", "main")
    git(work.path, *submodule, "sub")
    for place, name, made in (
        (top / "own", "zoe", top / "bare-zoe"),
        (work.path / "sub", "zed", work.path / "sub-zed"),
    ):
        clone = Clone(place, work.remote, place.name)
        clone("init", "--agent", place.name)
        clone("worktree", "add", name)
        rows = {one["agent"]: one["folder"] for one in clone("worktree", "list", "--json").json()["items"]}
        assert rows == {place.name: str(place), name: str(made)}
        assert f"{name} leaves" in clone("worktree", "remove", name).out and not made.exists()
        clone("leave")
