"""The pre-commit hook: a commit that touches what another has reserved is told of it, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest
import yaml

from gitcoord.node.operations import reserved_paths
from gitcoord.store.git import local_repo
from gitcoord.store.home.home import find_home
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
        "age_s": ANY,
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


def test_what_this_place_reserved_is_its_own_under_whatever_name(held: Clone) -> None:
    held("reserve", "docs")
    write(held.path, "docs/a.md")
    write(held.path, "src/auth/login.py")
    err = run(held.path, "commit", "-m", "mine", GITCOORD_AGENT="claude").err
    assert "bob has" in err and "alice has" not in err


def seen_long_ago(clone: Clone) -> None:
    """Make the clone's last look at the remote an hour older."""
    path = clone.home / "cache" / "heartbeats.json"
    seen = json.loads(path.read_text())
    path.write_text(json.dumps(seen | {"at_s": seen["at_s"] - 3600}))


def test_it_looks_at_the_remote_and_else_says_how_old_its_knowledge_is(held: Clone, bob: Clone) -> None:
    write(held.path, "docs/a.md")
    seen_long_ago(held)
    with held.outage():
        err = run(held.path, "commit", "-m", "mine").err
    assert "the remote did not answer in time: the reservations are those of 60 min ago" in err
    held("sync")  # the hook's own round may go on beside
    bob("reserve", "docs")
    seen_long_ago(held)
    at = reserved_paths.look(find_home(held.path), held.path, ["docs/a.md"], wait_s=60.0)
    assert [one["reservation"]["agent"] for one in at.found] == ["bob"] and not at.is_old


def test_trouble_of_gitcoords_own_stops_no_commit_and_no_fleet_is_no_trouble(held: Clone) -> None:
    held("config", "set", "hook", "refuse", "--node")
    write(held.path, "src/auth/login.py")
    config = held.home / "config.json"
    config.write_text("{" + config.read_text())
    assert "were not checked" in run(held.path, "commit", "-m", "mine").err
    config.write_text(config.read_text()[1:])
    held("leave", "--force")
    write(held.path, "src/auth/logout.py")
    assert run(held.path, "commit", "-m", "mine").err == ""
    script = held.path / ".git" / "hooks" / "pre-commit"
    script.write_text(script.read_text().replace("__main__.py", "uninstalled.py"))
    assert run(held.path, "commit", "--allow-empty", "-m", "again").err == ""


def test_a_script_that_is_there_goes_on_under_its_own_name_and_comes_back(held: Clone) -> None:
    held("hook", "uninstall")
    hook = held.path / ".git" / "hooks" / "pre-commit"
    before = '#!/usr/bin/env sh\nset -eu\necho "$(basename "$0")" >&2\ntest ! -e stop\n'
    hook.write_text(before)
    hook.chmod(0o755)
    assert "what was there is kept, and runs after it" in held("hook", "install").out
    assert held("hook", "install").out == "nothing to do\n"
    write(held.path, "src/auth/login.py")
    err = run(held.path, "commit", "-m", "a").err
    assert "bob has" in err and err.endswith("pre-commit\n")
    (held.path / "stop").touch()
    run(held.path, "commit", "--allow-empty", "-m", "b", code=1)
    held("config", "set", "hook", "refuse", "--node")
    write(held.path, "src/auth/login.py", "more\n")
    assert "pre-commit" not in run(held.path, "commit", "-m", "c", code=1).err
    assert "the rest is as before" in held("hook", "uninstall").out
    assert hook.read_text() == before and os.access(hook, os.X_OK)
    assert held("hook", "uninstall").out == "nothing to do\n"


def test_what_is_no_shell_script_is_moved_aside_runs_first_and_comes_back(alice: Clone) -> None:
    hook, script = alice.path / ".git" / "hooks" / "pre-commit", alice.path / "checks.py"
    hook.parent.mkdir(exist_ok=True)
    script.write_text("#!/usr/bin/env python3\nimport sys\nsys.exit(f'ran as {sys.argv[0]}')\n")
    script.chmod(0o755)
    hook.symlink_to("../../checks.py")
    assert "kept as before-gitcoord/pre-commit, and runs first" in alice("hook", "install").out
    assert "before-gitcoord/pre-commit\n" in run(alice.path, "commit", "--allow-empty", "-m", "a", code=1).err
    assert "the rest is as before" in alice("hook", "uninstall").out
    assert os.readlink(hook) == "../../checks.py" and not (hook.parent / "before-gitcoord").exists()
    alice("hook", "install")
    hook.unlink()
    hook.write_bytes(b"\x7fELF")  # another tool wrote over ours
    assert "gitcoord hook pre-commit; [ $? -ne 3 ] || exit 1" in alice("hook", "install", code=2).err
    assert "is not gitcoord's any more" in alice("hook", "uninstall", code=2).err
    assert hook.read_bytes() == b"\x7fELF"


HUSKY = '#!/usr/bin/env sh\ns=$(dirname "$(dirname "$0")")/$(basename "$0")\n[ ! -f "$s" ] && exit 0\nsh -e "$s" "$@"\n'
LEGACY = "# File generated by pre-commit: https://pre-commit.com\n"


def managed(manager: str, clone: Path, checks: str) -> Path:
    """Set up a manager of hooks, as it sets itself up, with `checks`; return the file that must not change."""
    hook = clone / ".git" / "hooks" / "pre-commit"
    if manager == "husky":
        write(clone, ".husky/pre-commit", f"{checks}\n")
        write(clone, ".husky/_/h", HUSKY)
        hook = clone / ".husky" / "_" / "pre-commit"
        hook.write_text('#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n')
        run(clone, "config", "core.hooksPath", ".husky/_")
    elif manager == "pre-commit":
        legacy = 'l="${0%/*}/pre-commit.legacy"; [ ! -x "$l" ] || "$l" "$@" || exit 1'
        hook.write_text(f"#!/usr/bin/env bash\n{LEGACY}{legacy}\n{checks}\n")
    hook.chmod(0o755)
    return hook


@pytest.mark.parametrize(
    ("manager", "file"), [("husky", ".husky/pre-commit"), ("pre-commit", ".git/hooks/pre-commit.legacy")]
)
def test_a_manager_of_hooks_runs_it_beside_the_teams_own_checks(held: Clone, manager: str, file: str) -> None:
    held("hook", "uninstall")
    stub = managed(manager, held.path, "test ! -e stop")
    before = stub.read_bytes()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    assert f"{manager} runs it" in held("hook", "install", PATH=path).out
    write(held.path, "src/auth/login.py")
    assert "bob has src/auth" in run(held.path, "commit", "-m", "a", PATH=path).err
    (held.path / "stop").touch()
    run(held.path, "commit", "--allow-empty", "-m", "b", code=1, PATH=path)
    (held.path / "stop").unlink()
    held("config", "set", "hook", "refuse", "--node")
    write(held.path, "src/auth/login.py", "more\n")
    assert "is refused" in run(held.path, "commit", "-m", "c", code=1, PATH=path).err
    assert stub.read_bytes() == before
    assert file in held("hook", "uninstall").out
    assert run(held.path, "commit", "-m", "c", PATH=path).err == ""


def test_lefthooks_local_commands_have_it_and_are_not_mixed_up_with_other_ones(alice: Clone) -> None:
    hook = alice.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncall_lefthook run "pre-commit" "$@"\n')
    local = alice.path / "lefthook-local.yml"
    assert "lefthook runs it" in alice("hook", "install").out
    made = yaml.safe_load(local.read_text())
    assert "gitcoord hook pre-commit" in made["pre-commit"]["commands"]["gitcoord"]["run"]
    assert str(local) in alice("hook", "uninstall").out and not local.exists()
    local.write_text("pre-commit:\n  parallel: true\n")
    assert "has commands for pre-commit" in alice("hook", "install", code=2).err


def test_it_is_written_where_this_clone_keeps_its_hooks(alice: Clone, tmp_path: Path) -> None:
    run(alice.path, "config", "core.hooksPath", ".hooks")
    (alice.path / "deep").mkdir()
    alice("-C", "deep", "hook", "install")
    text = (alice.path / ".hooks" / "pre-commit").read_text()
    assert "    gitcoord hook pre-commit " in text  # it may be committed: no path of this machine is in it
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


def test_what_belongs_to_a_branch_or_a_session_is_given_back_with_it(alice: Clone) -> None:
    def held() -> list[str]:
        return [path for row in alice("reservations", "--json").json()["items"] for path in row["paths"]]

    run(alice.path, "commit", "--allow-empty", "-m", "first")
    assert "create it first" in alice("reserve", "docs", "--branch", "parser", code=2).err
    run(alice.path, "branch", "parser")
    alice("reserve", "docs", "--branch", "parser")
    alice("sync")
    assert held() == ["docs"]
    run(alice.path, "branch", "-D", "parser")
    alice("sync")
    assert held() == []
    alice("release")  # nothing to give back is done as well
    alice("reserve", "src")
    alice("agent", "run", "--for", "0", "--quiet")
    assert held() == []
