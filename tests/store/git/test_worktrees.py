"""A work tree is removed only where no work goes with it: every way to leave work, and to hide it, is tried."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitcoord.core.errors import GitcoordError
from gitcoord.node.tasks import workspace
from gitcoord.node.tasks.workspace import Workspace

SUB = "git -c protocol.file.allow=always submodule add -q $OTHER sub"
NOTHING_LOST = {
    "nothing": "true",
    "committed": "echo x > a && git add a && git commit -qm a",
    "what a .gitignore of the tree names": "echo '*.o' > .gitignore && git add . && git commit -qm i && echo x > b.o",
    "a tool's cache": "mkdir cache && echo '*' > cache/.gitignore && echo x > cache/b",
    "a submodule as its remote has it": f"{SUB} && git commit -qm sub",
    "a clone in an ignored folder, as its remote has it": (
        "echo /deps/ > .gitignore && git add . && git commit -qm i && git clone -q $OTHER deps/other"
    ),
}
LOST = {
    "changed": ("echo x >> first", "not committed"),
    "deleted": ("rm first", "not committed"),
    "staged": ("echo x > a && git add a", "not committed"),
    "untracked": ("echo x > notes", "notes"),
    "untracked, and shown by no setting": ("git config status.showUntrackedFiles no && echo x > notes", "notes"),
    "untracked, in a folder": ("mkdir -p a/b && echo x > a/b/notes", "a/b"),
    "untracked, hidden by the user's settings": (
        'echo notes > "$TOP/../ignore" && git config core.excludesFile "$TOP/../ignore" && echo x > notes',
        "notes",
    ),
    "untracked, hidden in .git/info/exclude": ('echo notes >> "$TOP/.git/info/exclude" && echo x > notes', "notes"),
    "a repository in it": ("git init -q inner && git -C inner commit -q --allow-empty -m x", "inner"),
    "assumed to be unchanged": ("git update-index --assume-unchanged first && echo x >> first", "first"),
    "not to be looked at": ("git update-index --skip-worktree first && echo x >> first", "first"),
    "a merge with conflicts": (
        "git switch -qc other && echo 1 > first && git commit -qam 1 && git switch -q - && echo 2 > first && "
        "git commit -qam 2 && ! git merge -q other",
        "not committed",
    ),
    "changed in a submodule": (f"{SUB} && git commit -qm sub && echo x >> sub/first", "sub"),
    "changed in a submodule that is not to be looked at": (
        f"{SUB} && git config -f .gitmodules submodule.sub.ignore all && git commit -qam sub && echo x >> sub/first",
        "sub",
    ),
    "untracked in a submodule": (f"{SUB} && git commit -qm sub && echo x > sub/notes", "sub"),
    "committed in a submodule": (
        f"{SUB} && git commit -qm sub && git -C sub commit -q --allow-empty -m x && git commit -qam moved",
        "sub",
    ),
    "committed in a submodule, on another branch": (
        f"{SUB} && git commit -qm sub && git -C sub switch -qc other && git -C sub commit -q --allow-empty -m x && "
        "git -C sub switch -q -",
        "sub",
    ),
    "untracked in a work tree in an ignored folder": (
        "echo /trees/ > .gitignore && git add . && git commit -qm i && git worktree add -q -b inner trees/inner && "
        "echo x > trees/inner/notes",
        "trees/inner",
    ),
    "committed in a clone in an ignored folder": (
        "echo /deps/ > .gitignore && git add . && git commit -qm i && git clone -q $OTHER deps/a/other && "
        "git -C deps/a/other commit -q --allow-empty -m x",
        "deps/a/other",
    ),
    "a new repository in an ignored folder": (
        "echo /deps/ > .gitignore && git add . && git commit -qm i && git init -q deps/new && echo x > deps/new/notes",
        "deps/new",
    ),
    "an index that git cannot read": ("echo damaged > $(git rev-parse --git-path index)", "not known"),
    "locked": ("git worktree lock .", "locked"),
}
COMMIT = "git commit -q --allow-empty -m precious"
COMMITS = {
    "on the branch": COMMIT,
    "on another branch": f"git switch -qc other && {COMMIT}",
    "on another branch that it left": f"git switch -qc other && {COMMIT} && git switch -q -",
    "on a detached head": f"git switch -q --detach && {COMMIT}",
    "on a detached head that it left": f"git switch -q --detach && {COMMIT} && git switch -q $GITCOORD_TASK_BRANCH",
    "taken back with a reset": f"{COMMIT} && git reset -q --hard HEAD~",
    "on a branch that it deleted": f"git switch -qc other && {COMMIT} && git switch -q - && git branch -qD other",
    "on a ref of the work tree's own": f"git switch -q --detach && {COMMIT} && git update-ref refs/worktree/x HEAD && "
    "git -c core.logAllRefUpdates=false reset -q --hard HEAD~ && git reflog expire --expire=now --all",
}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("top", "other"):
        git = ["git", "-C", str(tmp_path / name), "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "init", "-q", str(tmp_path / name)], check=True)
        (tmp_path / name / "first").write_text("one\n")
        subprocess.run([*git, "add", "first"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    (tmp_path / "home").mkdir()
    return tmp_path / "top"


def worked(top: Path, script: str) -> Workspace:
    place = workspace.make(top.parent / "home", top, "bob", "63ed1cr7a5hvrkan", "a title", 1, worktree=True)
    place.occupied_by(0, "63ed1cr7a5hvrkan", 1, "bob")
    words = {"TOP": str(top), "OTHER": str(top.parent / "other"), "GITCOORD_TASK_BRANCH": place.branch}
    people = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["bash", "-ec", script], cwd=place.folder, env=os.environ | words | people, check=True)
    return place


def output(top: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(top), *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("script", NOTHING_LOST.values(), ids=NOTHING_LOST)
def test_a_work_tree_is_removed_where_nothing_is_lost_with_it(top: Path, script: str) -> None:
    place = worked(top, script)
    kept = place.keep()
    assert (place.leave(), place.folder.exists()) == ("", False)
    assert output(top, "worktree", "list").count("\n") == 1
    assert kept == output(top, "for-each-ref", "--format=%(refname:short)", "refs/heads/task").split()


@pytest.mark.parametrize("script, words", LOST.values(), ids=LOST)
def test_a_work_tree_that_holds_work_is_kept_and_told(top: Path, script: str, words: str) -> None:
    place = worked(top, script)
    before = sorted(str(one) for one in place.folder.rglob("*"))
    place.keep()
    left = place.leave()
    assert str(place.folder) in left and words in left
    assert sorted(str(one) for one in place.folder.rglob("*")) == before and not place.note.exists()


def test_hooks_and_filters_that_fail_leave_a_whole_work_tree_or_none(top: Path) -> None:
    hook = top / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\necho git-lfs is not installed >&2\nexit 2\n")
    hook.chmod(0o755)
    assert (worked(top, "true").folder / "first").exists()  # hooks of the clone do not run
    (top / ".git" / "info" / "attributes").write_text("first filter=lfs\n")
    for words in (("filter.lfs.smudge", "false"), ("filter.lfs.required", "true")):
        output(top, "config", *words)
    before = output(top, "worktree", "list"), output(top, "branch")
    with pytest.raises(GitcoordError, match="smudge filter lfs failed"):
        worked(top, "true")
    assert (output(top, "worktree", "list"), output(top, "branch")) == before


def test_what_a_run_that_was_cut_off_left_is_kept_and_told_by_the_next_one(top: Path) -> None:
    place = worked(top, "echo x > notes")
    (left,) = workspace.clear(top.parent / "home", top, "bob")
    assert str(place.folder) in left.left and "notes" in left.left and (place.folder / "notes").exists()


@pytest.mark.parametrize("script", COMMITS.values(), ids=COMMITS)
@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_each_commit_is_on_a_branch_after_its_work_tree_is_gone(top: Path, script: str, outcome: str) -> None:
    place = worked(top, script)
    kept = place.keep() if outcome == "done" else []
    left = place.leave()
    assert not place.folder.exists()
    (commit,) = output(top, "log", "--branches", "--grep", "precious", "--format=%H").split()
    holding = output(top, "for-each-ref", "--contains", commit, "--format=%(refname)", "refs/heads").split()
    assert outcome == "failed" or {f"refs/heads/{one}" for one in kept} & set(holding) or "refs/heads/other" in holding
    assert not any(one.endswith("-left") for one in holding) or "-left" in left


def test_what_an_amend_or_a_rebase_replaced_gets_no_branch(top: Path) -> None:
    place = worked(
        top,
        f"{COMMIT} && {COMMIT} --amend && echo x > a && git add a && git commit -qm a && "
        "GIT_SEQUENCE_EDITOR='sed -i 1d' git rebase -q -i $(git rev-list --max-parents=0 HEAD)",
    )
    assert place.keep() == [place.branch] and place.leave() == ""
    assert output(top, "for-each-ref", "--format=%(refname)", "refs/heads/task").split() == [
        f"refs/heads/{place.branch}"
    ]
