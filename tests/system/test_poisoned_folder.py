"""No file of a checkout is run by gitcoord, whatever its name: each way in which gitcoord starts a program is tried.

gitcoord is started here as it starts itself. PATH and PYTHONPATH have entries that mean the working folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.store import program
from tests.cli.clones import Clone, copied
from tests.poison import Poison, careless
from tests.waiting import WAIT_S, wait_until

GIT = shutil.which("git") or "git"


@pytest.fixture
def alice(tmp_path: Path) -> Clone:
    [clone] = copied(tmp_path, "alice")
    return clone


@pytest.fixture
def poison(alice: Clone, tmp_path: Path) -> Poison:
    return Poison(alice.path, tmp_path / "ran")


def gitcoord(clone: Clone, *arguments: str, code: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        program.gitcoord_argv(*arguments),
        cwd=clone.path,
        env=careless(os.environ) | more,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WAIT_S,
    )
    assert code is None or done.returncode == code, done.stderr
    return done


def git(clone: Clone, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GIT, *arguments], cwd=clone.path, env=dict(os.environ) | more, text=True, capture_output=True
    )


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for one in processes:
        if one.poll() is None:
            one.send_signal(signal.SIGTERM)
        one.wait(60)


def test_the_poison_works(alice: Clone, poison: Poison) -> None:
    """Started carelessly, Python and a shell run what lies here: the tests below could fail."""
    for words in ([sys.executable, "-m", "gitcoord", "--version"], [sys.executable, "-c", "import click"]):
        subprocess.run(words, cwd=alice.path, capture_output=True)
        assert [one for one in poison.ran if one.endswith(".py")], words
        poison.mark.unlink()
    subprocess.run(["/bin/sh", "-c", "git status"], cwd=alice.path, env=careless(os.environ), capture_output=True)
    assert poison.ran == ["git"]


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "sync",
        "append note x",
        "events",
        "verify",
        "snapshot --out pages",
        "config list",
        "doctor",
        "hook install",
        "task create Work --needs nobody",
        "conflict check",
        "agent run --once",
        "init --agent-guide AGENTS.md",
        "simulate --schedules 2 --seed 1",
        "elect --explain",
    ],
)
def test_commands(alice: Clone, poison: Poison, line: str) -> None:
    gitcoord(alice, *line.split(), code=None)
    assert poison.ran == []


@pytest.mark.parametrize("hooks", [".git/hooks", ".husky"])
def test_the_hook(alice: Clone, poison: Poison, hooks: str, tmp_path: Path) -> None:
    """`.husky` lies in the work tree, where the hook calls `gitcoord` by its name."""
    if hooks == ".husky":
        git(alice, "config", "core.hooksPath", hooks)
    gitcoord(alice, "hook", "install")
    assert "gitcoord" in (alice.path / hooks / "pre-commit").read_text()
    assert git(alice, "add", "-f", "click.py").returncode == 0
    done = git(alice, "commit", "-m", "x", **careless(os.environ))
    assert done.returncode == 0, done.stderr
    assert poison.ran == []


def test_mcp_and_its_agent(alice: Clone, poison: Poison, running: list[subprocess.Popen[bytes]]) -> None:
    process = subprocess.Popen(
        program.gitcoord_argv("mcp", "--as", "alice"),
        cwd=alice.path,
        env=careless(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running.append(process)
    wait_until(
        lambda: any((alice.home / "heartbeats").glob("*")) if (alice.home / "heartbeats").exists() else False,
        what="the agent's heartbeat",
    )
    assert process.stdin is not None
    process.stdin.close()
    process.wait(60)
    assert poison.ran == []


def test_a_fleet_file_with_a_command_and_a_handler(
    alice: Clone, poison: Poison, running: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    folder = tmp_path / "plan"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "import json\nimport yaml\n\n\ndef work(task):\n    return json.dumps(yaml.safe_load('7'))\n"
    )
    (folder / "fleet.toml").write_text(
        "[agents.alice]\ncapabilities = ['one']\nexec = 'cat > /dev/null; echo done'\n"
        "[agents.bob]\ncapabilities = ['two']\nhandler = 'mine.py:work'\n"
    )
    ids = [
        json.loads(gitcoord(alice, "task", "create", f"T {one}", "--needs", one, "--json").stdout)["ids"][0]
        for one in ("one", "two")
    ]
    with open(tmp_path / "fleet.log", "wb") as log:
        running.append(
            subprocess.Popen(
                program.gitcoord_argv("fleet", "start", str(folder / "fleet.toml")),
                cwd=alice.path,
                env=careless(os.environ),
                stdout=log,
                stderr=log,
            )
        )
    for uid in ids:
        done = gitcoord(alice, "wait", "--for", f"task {uid} done", "--timeout", "60", code=None)
        assert done.returncode == 0, (done.stderr, (tmp_path / "fleet.log").read_text())
    results = [json.loads(gitcoord(alice, "task", "show", uid, "--json").stdout)["result"] for uid in ids]
    assert results == ["done", "7"]
    gitcoord(alice, "fleet", "stop")
    assert poison.ran == []


@pytest.mark.parametrize(
    "options",
    [
        ("--exec", "cat > /dev/null; echo done"),
        ("--handler", "json:dumps"),
        ("--exec", "cat > /dev/null; echo done", "--worktree"),
    ],
)
def test_a_task(alice: Clone, poison: Poison, running: list[subprocess.Popen[bytes]], options: tuple[str, ...]) -> None:
    git(alice, "commit", "--allow-empty", "-m", "first")
    hook = alice.path / ".husky" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\necho hook >> '{poison.mark}'\n")
    hook.chmod(0o755)
    for command in (("config", "core.hooksPath", str(hook.parent)), ("config", "core.fsmonitor", str(hook))):
        assert git(alice, *command).returncode == 0
    uid = json.loads(gitcoord(alice, "task", "create", "T", "--json").stdout)["ids"][0]
    running.append(
        subprocess.Popen(
            program.gitcoord_argv("agent", "run", "--quiet", *options),
            cwd=alice.path,
            env=careless(os.environ),
            stdout=subprocess.DEVNULL,
        )
    )
    gitcoord(alice, "wait", "--for", f"task {uid} done", "--timeout", "60")
    assert poison.ran == []


def test_a_command_for_events(alice: Clone, poison: Poison, running: list[subprocess.Popen[bytes]]) -> None:
    alice("append", "question", "Who?", "--to", "alice", "--as", "alice")
    seen = alice.path / "seen"
    gitcoord(alice, "init", "--agent", "bob")
    gitcoord(alice, "append", "question", "Who?", "--to", "alice", "--as", "bob")
    running.append(
        subprocess.Popen(
            program.gitcoord_argv("agent", "run", "--quiet", "--on-event", "cat > /dev/null; echo > seen"),
            cwd=alice.path,
            env=careless(os.environ),
        )
    )
    wait_until(seen.exists, what="the command")
    assert poison.ran == []


def test_a_folder_that_looks_like_a_repository_is_not_used(alice: Clone, tmp_path: Path) -> None:
    """A branch may hold it, and its configuration names commands."""
    evil = alice.path / "docs" / "evil"
    subprocess.run([GIT, "init", "--quiet", "--bare", str(evil)], check=True)
    command = f"echo x >> {tmp_path / 'ran'}; false"
    subprocess.run([GIT, "-C", str(evil), "config", "core.fsmonitor", command], check=True)
    shutil.copytree(alice.home, evil / "gitcoord")
    for line in ("status", "init --agent bob", "append note x", "conflict check", "hook install"):
        for folder in (evil, evil / "refs"):
            done = subprocess.run(program.gitcoord_argv(*line.split()), cwd=folder, text=True, capture_output=True)
            assert done.returncode != 0, (line, done.stdout)
            assert "looks like a repository" in done.stderr or "bare" in done.stderr, (line, done.stderr)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "script, arguments",
    [("log_event.sh", ("1", "alice", "note", "x")), ("generate_snapshot.sh", ()), ("fuzz", ("--list",))],
)
@pytest.mark.parametrize("installed", [True, False])
def test_scripts(
    alice: Clone, poison: Poison, tmp_path: Path, script: str, arguments: tuple[str, ...], installed: bool
) -> None:
    top = Path(program.MAIN).parents[1]
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "gitcoord") if installed else ("python3",):
        module = "-I -m gitcoord" if name == "gitcoord" else ""
        (programs / name).write_text(f"#!/bin/sh\nexec '{sys.executable}' {module} \"$@\"\n")
        (programs / name).chmod(0o755)
    system = [one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "gitcoord").exists()]
    path = os.pathsep.join(["", ".", str(programs), *system])
    if script == "fuzz":
        path = os.pathsep.join([str(programs), *system])  # its first line asks PATH for Python
    done = subprocess.run(
        [str(top / "scripts" / script), *arguments],
        cwd=alice.path,
        text=True,
        capture_output=True,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert poison.ran == []
