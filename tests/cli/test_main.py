"""The command line as a whole: examples that run, JSON that is documented, exit codes, a quick `--help`."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from gitcoord.cli.main import COMMANDS
from gitcoord.cli.main import gitcoord as group
from gitcoord.core import errors
from gitcoord.core.commands import Query
from gitcoord.features import FEATURES
from gitcoord.store.git import local_repo
from tests.cli.clones import TOP, Clone, gitcoord, make_remote, process_environment
from tests.github.fake import forge
from tests.waiting import WAIT_S

EXAMPLE_S_MAX = 90.0
OF_A_SHELL = re.compile(r"[#<>|;&]")
# An example that follows or watches gets Ctrl-C once it has said something.
ENDLESS = re.compile(r"(^|\s)(-f|--follow|--watch)(\s|$)|agent run(?!.*--(once|for))")
QUEUED = "k3f97hq2"  # stands in the help of `queue drop` for an event that waits


def modules() -> Iterator[str]:
    """The commands whose module is there."""
    for name, module in COMMANDS.items():
        if importlib.util.find_spec(module) is not None:
            yield name


def walk(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        for name in command.commands:
            yield from walk(command.commands[name], f"{words} {name}")


def every_command() -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    found = []
    for name in modules():
        command = group.get_command(context, name)
        assert command is not None
        found += walk(command, name)
    return found


def examples(command: click.Command) -> list[str]:
    """The lines below `Example:` in a command's help."""
    paragraphs = [part for part in (command.help or "").split("\b") if part.strip().startswith("Example:")]
    return [
        line.strip()
        for part in paragraphs
        for line in part.split("Example:", 1)[1].strip("\n").split("\n\n")[0].splitlines()
        if line.strip()
    ]


OF_FEATURES = {name: what for feature in FEATURES.values() for name, what in feature.COMMANDS.items()}
EXAMPLES = [
    (words, line)
    for words, command in every_command()
    for line in examples(command)
    if words not in (*OF_FEATURES, "demo")
]  # tests/system/test_demo.py runs that, and looks closer


@pytest.fixture
def prepared(alice: Clone, bob: Clone, tmp_path: Path) -> Clone:
    """A clone in which everything that an example may name is there."""
    shutil.copy(TOP / "tests" / "data" / "history_sample.jsonl", alice.path / "events.jsonl")
    for sample in TOP.glob("events*.log"):
        shutil.copy(sample, alice.path)
    shutil.copytree(TOP / "examples", alice.path / "examples")
    for text in ("Who takes the parser?", "How do I start the server?"):
        alice("append", "question", text, "--to", "bob")
    alice("agent", "set", "--github", "octocat")
    with alice.node() as node:
        node.append(node.draft("note", "waits", actor="alice"))
    program = tmp_path / "bin" / "gitcoord"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gitcoord "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return alice


@pytest.mark.parametrize("name", list(modules()))
def test_every_command_has_an_example(name: str) -> None:
    lacking = [words for words, command in every_command() if words.split()[0] == name and not examples(command)]
    assert not lacking, f"no Example: paragraph in the help of {lacking}"


@pytest.mark.parametrize("words, line", EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_every_command_has_an_example_that_runs(words: str, line: str, prepared: Clone) -> None:
    assert re.search(rf"\bgitcoord {words}\b", line), f"the example of `{words}` shows another command"
    if QUEUED in line:
        line = line.replace(QUEUED, prepared("queue", "list", "--json").json()["events"][0]["event"]["uid"][:8])
    with forge() as variables:
        environment = variables if "--repo" in line else {}
        if OF_A_SHELL.search(line) or (ENDLESS.search(line) and words != "move"):  # to follow a move ends
            in_a_shell(line, prepared, environment)
        else:
            program, *arguments = shlex.split(line)
            assert program == "gitcoord"
            prepare(words, line, prepared)(*arguments, **environment)


def prepare(words: str, line: str, clone: Clone) -> Clone:
    """Return the clone in which the example runs, with what only this one needs."""

    def git(*what: str) -> None:
        subprocess.run(["git", *what], cwd=clone.path, check=True, capture_output=True)

    if words == "move":
        local_repo.make_bare_remote(clone.remote.with_name("new.git"))
        git("remote", "add", "origin", "../new.git")
    if words == "init" and "--local" in line:
        folder = clone.path.parent / "new"
        git("init", "--quiet", str(folder))
        return Clone(folder, clone.remote, "alice")
    if words.startswith("worktree"):
        git("-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "-q", "--allow-empty", "-m", "one")
        git("push", "--quiet", str(clone.remote), "HEAD:main", "HEAD:release")
    if words == "worktree remove":
        clone("worktree", "add", "ada")
    return clone


def in_a_shell(line: str, clone: Clone, environment: Mapping[str, str]) -> None:
    path = f"{clone.path.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    endless = ENDLESS.search(line) is not None
    process = subprocess.Popen(
        f"exec {line}" if endless else line,
        shell=True,
        cwd=clone.path,
        text=True,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=process_environment({"PATH": path, **environment}),
    )
    assert process.stdout is not None
    if endless:
        assert process.stdout.readline(), "it ended and said nothing"
        os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=EXAMPLE_S_MAX)
    assert process.returncode == 0, out


@pytest.mark.parametrize("name", list(modules()))
def test_help_says_what_to_type_and_fits_a_terminal(name: str, tmp_path: Path) -> None:
    result = gitcoord(tmp_path, name, "--help")
    assert result.code == 0 and result.out.startswith(f"Usage: gitcoord {name}")
    assert max(map(len, result.out.splitlines())) <= 100


@pytest.mark.parametrize("name", OF_FEATURES)
def test_every_example_of_a_feature_runs(name: str, alice: Clone, bob: Clone) -> None:
    """In a fleet of alice and bob in which nothing has happened: the first event is at position 3."""
    shutil.copytree(TOP / "examples", alice.path / "examples")
    what = OF_FEATURES[name]
    for line in (*what.before, what.example):
        program, *words = shlex.split(line)
        assert program == "gitcoord"
        clone = bob if words[-2:] == ["--as", "bob"] else alice
        clone("sync")
        clone(*words)


def test_every_json_schema_is_documented() -> None:
    documented = (TOP / "docs" / "json.md").read_text(encoding="utf-8")
    printed = {
        schema
        for path in (TOP / "gitcoord").rglob("*.py")
        for schema in re.findall(r'"schema": "(gitcoord\.[a-z_.]+/\d+)"', path.read_text(encoding="utf-8"))
    }
    printed |= {
        f"gitcoord.{name.replace(' ', '.')}/1"
        for feature in FEATURES.values()
        for name, what in feature.COMMANDS.items()
        if isinstance(what, Query)
    }
    assert printed and not {schema for schema in printed if f"`{schema}`" not in documented}


def test_no_documented_json_schema_is_gone() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (TOP / "gitcoord").rglob("*.py"))
    derived = {f"gitcoord.{name.replace(' ', '.')}/1" for feature in FEATURES.values() for name in feature.COMMANDS}
    documented = re.findall(r"^#+ .*`(gitcoord\.[a-z_.]+/\d+)`", (TOP / "docs" / "json.md").read_text("utf-8"), re.M)
    assert documented and [one for one in documented if f'"{one}"' not in source and one not in derived] == []


def test_the_fields_of_the_documented_json_are_those_printed(alice: Clone) -> None:
    documented = (TOP / "docs" / "json.md").read_text(encoding="utf-8")
    alice("append", "note", "waits", "--no-sync")
    for arguments in (
        ["status"],
        ["events", "--limit", "1"],
        ["queue", "list"],
        ["config", "list"],
        ["sync"],
        ["append", "note", "x"],
        ["resume"],
        ["elect", "--status"],
        ["elect", "--explain"],
        ["doctor"],
        ["verify"],
        ["snapshot"],
        ["init", "--agent", "alice"],
        ["leave"],
    ):
        value = alice(*arguments, "--json").rows()[0]
        section = documented.split(f"`{value['schema']}`", 1)[1].split("\n## ", 1)[0]
        assert [name for name in value if f"`{name}`" not in section] == [], arguments


def test_help_is_quick_and_imports_no_git_and_no_models() -> None:
    words = "import sys; from gitcoord.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    words += "print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, env=process_environment({})
    )
    for module in ("git", "github", "pydantic", "nacl", "rich", "psutil", "requests", "urllib3"):
        assert f"'{module}'" not in done.stderr
    assert set(COMMANDS) <= set(done.stdout.replace(",", " ").split())


@pytest.mark.parametrize(
    "error, code",
    [
        (errors.Refused, 2),
        (errors.Lost, 3),
        (errors.NotConfirmed, 4),
        (errors.Unreachable, 4),
        (errors.BadCredentials, 5),
        (errors.Corrupt, 6),
        (errors.Denied, 1),
        (errors.Paused, 1),
        (OSError, 1),
        (KeyboardInterrupt, 130),
    ],
)
def test_errors_end_with_their_exit_code_and_without_a_traceback(
    alice: Clone, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], code: int
) -> None:
    def fail(path: Path, **_: object) -> None:
        raise error("what happened")

    monkeypatch.setattr("gitcoord.node.node.open_node", fail)
    result = alice("sync", code=code)
    assert "Traceback" not in result.err and result.err.count("\n") <= 2
    assert code == 130 or "what happened" in result.err


def test_debugging_shows_the_traceback(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, **_: object) -> None:
        raise errors.Refused("what happened")

    monkeypatch.setattr("gitcoord.node.node.open_node", fail)
    assert "Traceback" in alice("sync", code=2, GITCOORD_DEBUG="1").err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["--nonsense"], ["-C", "missing", "status"], ["append"], ["status", "x"]]
)
def test_wrong_use_is_2(tmp_path: Path, arguments: list[str]) -> None:
    result = gitcoord(tmp_path, *arguments)
    assert (result.code, result.out) == (2, "") and "Traceback" not in result.err


def test_outside_of_a_fleet_the_next_step_is_named(tmp_path: Path) -> None:
    assert "gitcoord init" in gitcoord(tmp_path, "status").err


def test_a_closed_pipe_is_no_error(alice: Clone) -> None:
    for number in range(3):
        alice("append", "note", f"{number}" * 50_000, "--no-sync")
    process = alice.start("events", "--no-sync", "--json")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(WAIT_S) == 0


def imported(clone: Clone, *arguments: str) -> str:
    """The modules in a process that has run a command."""
    words = f"import sys; from gitcoord.cli.main import main\ntry: main({list(arguments)})\nexcept SystemExit: pass\n"
    words += "print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        check=True,
        cwd=clone.path,
        env=process_environment({}),
    )
    return done.stderr


def test_to_queue_an_event_imports_nothing_that_folds(alice: Clone) -> None:
    modules = imported(alice, "append", "note", "x", "--no-sync")
    for module in (
        "git",
        "pydantic",
        "rich",
        "tenacity",
        "psutil",
        "gitcoord.core.fleet_state",
        "gitcoord.store.git.git_store",
    ):
        assert f"'{module}'" not in modules
    assert "'nacl'" in modules and alice("queue", "list", "--json").rows()


def test_status_imports_nothing_that_folds(alice: Clone) -> None:
    modules = imported(alice, "status")
    for module in (
        "git",
        "pydantic",
        "rich",
        "tenacity",
        "psutil",
        "gitcoord.core.fleet_state",
        "gitcoord.store.git.git_store",
    ):
        assert f"'{module}'" not in modules


def test_a_ledger_of_an_earlier_format_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    remote = make_remote(tmp_path / "remote.git")

    def git(*words: str, given: str = "") -> str:
        someone = ["-c", "user.name=x", "-c", "user.email=x@example.invalid"]
        done = subprocess.run(
            ["git", "-C", str(remote), *someone, *words], input=given, text=True, check=True, capture_output=True
        )
        return done.stdout.strip()

    lines = git("hash-object", "-w", str(TOP / "tests" / "data" / "events_v1.log"))
    tip = git("commit-tree", git("mktree", given=f"100644 blob {lines}\tevents-0000000000.log\n"), given="v1\n")
    git("update-ref", "refs/heads/gitcoord/ledger", tip)
    said = gitcoord(tmp_path, "init", "clone", "--agent", "alice", "--remote", str(remote))
    assert said.code == 1 and "written by format 1 of gitcoord's events" in said.err
    assert "this version reads and writes format 2" in said.err and "use the version that wrote it" in said.err
    assert git("for-each-ref", "--format=%(objectname)") == tip
    assert "GITCOORD_DEBUG" not in said.err, "it is no bug of ours"
