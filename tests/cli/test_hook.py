"""The pre-commit hook: a commit that touches what another has reserved is told of it, or refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitcoord.store.git import local_repo
from tests.cli.clones import Clone, Result, process_environment

IDENTITY = {
    "GIT_AUTHOR_NAME": "x",
    "GIT_AUTHOR_EMAIL": "x@example.org",
    "GIT_COMMITTER_NAME": "x",
    "GIT_COMMITTER_EMAIL": "x@example.org",
}


def run(folder: Path, *args: str, code: int | None = 0, **environment: str) -> Result:
    """git, as a person runs it."""
    done = subprocess.run(
        ["git", *args],
        cwd=folder,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=process_environment({**IDENTITY, **environment}),
    )
    assert code is None or done.returncode == code, done
    return Result(done.returncode, done.stdout, done.stderr)


def write(folder: Path, path: str, text: str = "words\n") -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")
    run(folder, "add", "--", path)


@pytest.fixture
def held(alice: Clone, bob: Clone) -> Clone:
    """alice's clone, with the hook; bob has reserved src/auth."""
    write(alice.path, "README.md")
    run(alice.path, "commit", "-m", "first")
    alice("hook", "install")
    bob("reserve", "src/auth/**", "--why", "new login")
    alice("sync")
    return alice


def test_it_warns_and_lets_the_commit_pass(held: Clone) -> None:
    write(held.path, "src/auth/login.py")
    done = run(held.path, "commit", "-m", "mine")
    assert "src/auth/login.py: bob has src/auth/** until" in done.err and "(new login)" in done.err
    assert "mine" in run(held.path, "log", "--oneline").out


def test_it_says_nothing_of_what_nobody_holds(held: Clone) -> None:
    write(held.path, "src/parser.py")
    assert "gitcoord" not in run(held.path, "commit", "-m", "mine").err


@pytest.mark.parametrize("where", [["--node"], []])
def test_it_refuses_where_the_clone_or_the_fleet_says_so(held: Clone, where: list[str]) -> None:
    held("config", "set", "hook", "refuse", *where)
    assert "refuse" in held("config", "get", "hook").out
    write(held.path, "src/auth/login.py")
    assert "--no-verify" in run(held.path, "commit", "-m", "mine", code=1).err
    assert "mine" not in run(held.path, "log", "--oneline").out
    run(held.path, "commit", "-m", "mine", code=0, GITCOORD_HOOK="warn")
    assert held("hook", "pre-commit", "--json").json() == {
        "schema": "gitcoord.hook.pre_commit/1",
        "refused": False,
        "touched": [],
    }


def test_its_json_names_paths_and_reservation(held: Clone) -> None:
    write(held.path, "src/auth/login.py")
    result = held("hook", "pre-commit", "--json", code=3, GITCOORD_HOOK="refuse").json()
    [one] = result["touched"]
    assert (result["refused"], one["touches"], one["reservation"]["agent"]) == (True, ["src/auth/login.py"], "bob")


def test_both_sides_of_a_rename_count_and_odd_names_are_read(held: Clone) -> None:
    write(held.path, "src/auth/old é\t*.py", "a long enough file\n" * 20)
    run(held.path, "commit", "--no-verify", "-m", "before")
    run(held.path, "mv", "src/auth/old é\t*.py", "elsewhere.py")
    assert "src/auth/old é" in run(held.path, "commit", "-m", "moved away").err


def test_only_what_is_committed_counts(held: Clone) -> None:
    write(held.path, "src/auth/login.py")
    write(held.path, "src/parser.py")
    assert "gitcoord" not in run(held.path, "commit", "-m", "one path", "src/parser.py").err  # an index of its own
    assert "login.py" in run(held.path, "commit", "-m", "the rest").err


def test_of_a_merge_only_ones_own_edits_count(held: Clone) -> None:
    write(held.path, "both.txt", "base\n")
    run(held.path, "commit", "-m", "base")
    run(held.path, "switch", "-c", "theirs")
    write(held.path, "src/auth/login.py")
    write(held.path, "both.txt", "theirs\n")
    run(held.path, "commit", "--no-verify", "-m", "theirs")
    run(held.path, "switch", "-")
    write(held.path, "both.txt", "ours\n")
    run(held.path, "commit", "-m", "ours")
    run(held.path, "merge", "theirs", code=1)
    write(held.path, "both.txt", "ours and theirs\n")
    assert "gitcoord" not in run(held.path, "commit", "-m", "merged").err


def test_ones_own_reservation_is_no_trouble_but_that_of_another_work_tree_is(held: Clone) -> None:
    tree = held.path.with_name("second")
    run(held.path, "worktree", "add", "-q", str(tree))
    held("reserve", "docs")
    write(held.path, "docs/a.md")
    assert "gitcoord" not in run(held.path, "commit", "-m", "mine").err
    write(tree, "docs/b.md")
    assert "alice has docs until" in run(tree, "commit", "-m", "second").err
    assert "bob has" not in run(tree, "commit", "--allow-empty", "-m", "nothing").err


def test_who_has_no_name_owns_what_his_work_tree_has(held: Clone) -> None:
    held("reserve", "docs")
    config = held.home / "config.json"
    config.write_text(config.read_text().replace('"agent": "alice"', '"agent": null'))
    write(held.path, "docs/a.md")
    write(held.path, "src/auth/login.py")
    err = run(held.path, "commit", "-m", "mine").err
    assert "bob has" in err and "alice has" not in err


def test_it_needs_no_remote(held: Clone) -> None:
    write(held.path, "src/auth/login.py")
    with held.outage():
        assert "bob has src/auth" in run(held.path, "commit", "-m", "mine").err


def test_trouble_of_gitcoords_own_stops_no_commit(held: Clone) -> None:
    held("config", "set", "hook", "refuse", "--node")
    held("leave", "--force")
    write(held.path, "src/auth/login.py")
    assert "were not checked" in run(held.path, "commit", "-m", "mine").err
    script = held.path / ".git" / "hooks" / "pre-commit"
    script.write_text(script.read_text().replace("__main__.py", "uninstalled.py"))
    assert run(held.path, "commit", "--allow-empty", "-m", "again").err == ""


def test_a_hook_that_is_there_is_kept_runs_first_and_comes_back(alice: Clone) -> None:
    hook = alice.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho mine >&2\ntest ! -e stop\n")
    hook.chmod(0o755)
    assert "kept as pre-commit.before-gitcoord" in alice("hook", "install").out
    assert alice("hook", "install").out == "nothing to do\n"
    write(alice.path, "a.txt")
    assert "mine" in run(alice.path, "commit", "-m", "a").err
    (alice.path / "stop").touch()
    run(alice.path, "commit", "--allow-empty", "-m", "b", code=1)
    assert "the previous hook is restored" in alice("hook", "uninstall").out
    assert "echo mine" in hook.read_text() and os.access(hook, os.X_OK)
    assert alice("hook", "uninstall").out == "nothing to do\n"


def test_where_two_are_in_the_way_the_remedy_is_named(alice: Clone) -> None:
    alice("hook", "install")
    hook = alice.path / ".git" / "hooks" / "pre-commit"
    hook.with_name("pre-commit.before-gitcoord").write_text("")
    hook.write_text("#!/bin/sh\n")  # another tool wrote over ours
    assert "gitcoord hook pre-commit; [ $? -ne 3 ] || exit 1" in alice("hook", "install", code=2).err
    assert "is not gitcoord's any more" in alice("hook", "uninstall", code=2).err
    assert hook.read_text() == "#!/bin/sh\n"


def test_it_is_written_where_this_clone_keeps_its_hooks(alice: Clone, tmp_path: Path) -> None:
    run(alice.path, "config", "core.hooksPath", ".hooks")
    (alice.path / "deep").mkdir()
    alice("-C", "deep", "hook", "install")
    text = (alice.path / ".hooks" / "pre-commit").read_text()
    assert "\ngitcoord hook pre-commit\n" in text  # it may be committed: no path of this machine is in it
    run(alice.path, "config", "--unset", "core.hooksPath")
    user = tmp_path / "gitconfig"
    user.write_text(f"[core]\n\thooksPath = {tmp_path}/everywhere\n")
    result = alice("hook", "install", code=2, GIT_CONFIG_GLOBAL=str(user))
    assert "runs in every repository" in result.err and not (tmp_path / "everywhere").exists()


def test_one_install_serves_all_work_trees(alice: Clone) -> None:
    write(alice.path, "a.txt")
    run(alice.path, "commit", "-m", "a")
    tree = alice.path.with_name("second")
    run(alice.path, "worktree", "add", "-q", str(tree))
    alice("-C", str(tree), "hook", "install")
    assert (alice.path / ".git" / "hooks" / "pre-commit").exists()


def test_outside_of_a_repository_it_is_refused(tmp_path: Path, alice: Clone) -> None:
    assert "git rev-parse" in alice("-C", str(tmp_path), "hook", "install", code=2).err
    local_repo.init_repository(tmp_path / "stranger")
    write(tmp_path / "stranger", "a.txt")
    assert "gitcoord init" in alice("-C", str(tmp_path / "stranger"), "hook", "pre-commit").err
