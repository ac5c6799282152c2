"""Every command, as text and as JSON, where everything that others wrote is hostile: nothing of it acts or hides."""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.clones import TOP, Clone, Result, copied, process_environment
from tests.cli.poison import FORGED, POISON, SHOWN, faults, unseen, write
from tests.cli.test_dry_run import commands
from tests.waiting import WAIT_S, wait_until

pytestmark = pytest.mark.no_cover  # each command's own tests run the same lines; tracing them would double the time

ALONE = {"agent run", "mcp", "demo", "fleet start"}  # they go on; tested below, in tests/mcp, or with no ledger at all
ARGV = POISON.replace("\0", "")  # no argument can hold NUL
MORE = {
    "wait": ("--timeout", "0"),
    "simulate": ("--schedules", "1", "--seconds", "10"),
    "elect": ("--dry-run",),
    "import": ("--dry-run",),
    "review post": ("--pr", "1"),
}
ABOUT = {
    "task": "task_created",
    "message": "message",
    "directive": "directive_issued",
    "release": "paths_reserved",
    "reservations": "paths_reserved",
    "conflict": "conflict_found",
    "workflow": "workflow_started",
    "autonomy approve": "proposal_made",
    "autonomy reject": "proposal_made",
    "autonomy proposals": "proposal_made",
    "alerts": "error",
}
SHOWING = (
    ["events"],
    ["status"],
    ["inbox"],
    ["message", "list"],
    ["directive", "list"],
    ["autonomy", "proposals"],
    ["reservations"],
    ["workflow", "defined"],
    ["alerts"],
    ["recovery", "circuits"],
    ["conflict", "check"],
    ["hook", "pre-commit"],
)


@functools.cache
def _poisoned() -> tuple[tempfile.TemporaryDirectory[str], dict[str, str]]:
    """Alice's clone of a fleet that bob has poisoned: the ledger, branches, and the names of files."""
    kept = tempfile.TemporaryDirectory(prefix="gitcoord-poisoned-")
    alice, bob = copied(Path(kept.name), "alice", "bob")
    ids = write(bob)
    alice("sync")
    odd = "src/" + POISON[:30].replace("/", "").replace("\0", "")
    for branch, text in (("main", "a"), ("one\u202eb", POISON), ("two\U000e0041", f"b{POISON}")):
        git(alice, "checkout", "-q", *(["--orphan", "main"] if branch == "main" else ["-b", branch, "main"]))
        for name in (odd, "src/plain.py"):
            (alice.path / name).parent.mkdir(exist_ok=True)
            (alice.path / name).write_text(text, "utf-8", newline="")
        git(alice, "add", "-A")
        git(alice, "commit", "-qm", "x")
    (alice.path / odd).write_text("staged", "utf-8")
    git(alice, "add", "-A")
    return kept, ids


def git(clone: Clone, *words: str) -> None:
    subprocess.run(["git", "-C", str(clone.path), *words], check=True, capture_output=True)


@pytest.fixture
def ids() -> dict[str, str]:
    return _poisoned()[1]


@pytest.fixture
def alice(tmp_path: Path) -> Clone:
    made = Path(_poisoned()[0].name)
    for name in ("alice", "remote.git"):
        shutil.copytree(made / name, tmp_path / name, symlinks=True)
    config = tmp_path / "alice" / ".git" / "gitcoord" / "config.json"
    text = config.read_text("utf-8").replace(str(made / "remote.git"), str(tmp_path / "remote.git"))
    config.write_text(text, "utf-8")
    return Clone(tmp_path / "alice", tmp_path / "remote.git", "alice")


def arguments(name: str, one: click.Command, ids: dict[str, str], *, known: bool) -> list[str]:
    """What the command needs: things that there are, and otherwise hostile words."""
    word = name if name in ABOUT else name.split()[0]
    found = list(MORE.get(name, ()))
    if name == "wait":
        found += ["--for", f"task {ids['task_created']} done" if known else ARGV]
    for parameter in one.params:
        if not isinstance(parameter, click.Argument) or (known and name in ("conflict check", "actions report")):
            continue
        first = parameter.name in ("task", "message", "messages", "directive", "id", "ids", "run", "conflict")
        if isinstance(parameter.type, click.Choice):
            found.append(str(parameter.type.choices[0]))
        elif parameter.name in ("pr", "share"):
            found.append("1" if known else ARGV)
        elif known and first and word in ABOUT:
            found.append(ids[ABOUT[word]])
        elif known and parameter.name in ("agent", "agents"):
            found.append("bob")
        elif not (name == "init" and known):
            found.append(ARGV)
    return found


@pytest.mark.parametrize("name", [name for name, _ in commands() if name not in ALONE])
def test_no_command_prints_what_acts_or_hides(alice: Clone, ids: dict[str, str], name: str) -> None:
    one = dict(commands())[name]
    has_json = any("--json" in parameter.opts for parameter in one.params)
    for known in (True, False):
        words = [*name.split(), *arguments(name, one, ids, known=known)]
        for form in ([], ["--json"]) if has_json else ([],):
            said = alice(*words[: len(name.split())], *form, *words[len(name.split()) :], code=None)
            assert faults(said.out) == [] and faults(said.err) == [], said
            if form and said.code == 0:
                assert all(json.loads(line) for line in said.out.splitlines())


@pytest.mark.parametrize("words", SHOWING, ids=" ".join)
def test_what_others_wrote_is_there_to_be_seen(alice: Clone, words: list[str]) -> None:
    """The test above would be worth nothing, were there no poison in what they print."""
    said = alice(*words, code=None)
    assert SHOWN in said.out + said.err or "⟨U+" in said.out + said.err


def test_json_is_exactly_what_others_wrote(alice: Clone, ids: dict[str, str]) -> None:
    assert POISON in [row["event"]["content"] for row in alice("events", "--json").rows()]
    assert alice("task", "show", ids["task_created"], "--json").json()["body"] == POISON
    assert SHOWN in alice("task", "show", ids["task_created"]).out


@pytest.mark.parametrize("form", [[], ["--json-logs"]], ids=["text", "json"])
def test_the_log_of_a_running_agent_is_lines_of_its_own_only(alice: Clone, tmp_path: Path, form: list[str]) -> None:
    log, words = tmp_path / "log", tmp_path / "words"
    words.write_bytes(ARGV.encode())
    alice.hook(f"cat {words} >&2; exit 1")
    alice("append", "note", "x", "--no-sync")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "gitcoord", "agent", "run", "--exec", "env", "--capabilities", "x", *form],
            cwd=alice.path,
            env=process_environment({}),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        wait_until(lambda: "⟨U+202E⟩" in log.read_text("utf-8"), what="the remote's words")
    finally:
        process.terminate()
        process.wait(WAIT_S)
    text = log.read_text("utf-8")
    assert faults(text) == []


@pytest.mark.parametrize("form", [[], ["--json-logs"]], ids=["text", "json"])
def test_what_a_handler_of_events_prints_is_lines_of_the_agents_log(tmp_path: Path, form: list[str]) -> None:
    alice, bob = copied(tmp_path, "alice", "bob")
    words = tmp_path / "words"
    words.write_bytes(POISON.encode() + b"\n")
    bob("append", "question", "who?", "--to", "alice", "--wait", "sequenced")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gitcoord",
            "agent",
            "run",
            "--once",
            *form,
            "--on-event",
            f"cat {words}; cat {words} >&2; printf 'no end of line'",
        ],
        cwd=alice.path,
        env=process_environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WAIT_S,
    )
    text = (done.stdout + done.stderr).decode()
    assert faults(text) == [], text
    assert text.count("handler") > 2 and "no end of line" in text
    if not form:
        assert text.count(SHOWN) == 2 and FORGED in text


def test_what_a_remote_prints_is_shown_and_does_not_act(alice: Clone) -> None:
    script = alice.path / "words"
    script.write_bytes(ARGV.encode())
    alice.hook(f"cat {script} >&2; exit 1")
    alice("append", "note", "x", code=None)
    for words in (["sync"], ["status"], ["doctor"], ["append", "note", "y", "--wait", "sequenced", "--timeout", "2"]):
        said = alice(*words, code=None)
        assert faults(said.out) == [] and faults(said.err) == [], said
    assert "⟨U+202E⟩" in alice("sync", code=None).err + alice("status").out


def test_what_was_not_taken_is_noted_where_people_read_it(alice: Clone) -> None:
    noted = (alice.home / "events.error.log").read_text("utf-8")
    assert noted.count("\n") >= 2 and faults(noted) == []


def test_a_workflow_is_told_nothing_that_others_made_up(alice: Clone, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    printed = [alice(*words, code=None).out for words in (["autonomy", "approve", "--all"], ["release"], *SHOWING)]
    answers.write_text("".join(printed), "utf-8")
    output, summary = tmp_path / "output", tmp_path / "summary"
    said = alice("actions", "report", str(answers), GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary))
    assert [line.partition("=")[0] for line in output.read_text("utf-8").splitlines()] == [
        "position",
        "leader",
        "attention",
    ]
    assert faults(said.out) == unseen(summary.read_text("utf-8")) == []
    assert all(line.startswith("::warning title=gitcoord::") for line in said.out.splitlines()) and said.out
    answers.write_text(
        json.dumps({"schema": "gitcoord.review.post/1", "verdict": f"x\n{FORGED}", "findings": []}), "utf-8"
    )
    alice("actions", "report", str(answers), GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary))
    assert "verdict" not in output.read_text("utf-8")


def test_a_traceback_is_no_way_around_it(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(POISON)

    monkeypatch.setattr("gitcoord.node.node.open_node", fail)
    for debug in ("0", "1"):
        said: Result = alice("sync", code=1, GITCOORD_DEBUG=debug)
        assert SHOWN in said.err and faults(said.err) == []


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pty")
@pytest.mark.parametrize(
    "words", [["status"], ["directive", "list"], ["events", "--no-sync"], ["doctor"]], ids=" ".join
)
def test_a_terminal_is_sent_our_own_colours_and_nothing_of_others(alice: Clone, words: list[str]) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = process_environment({"TERM": "xterm-256color", "COLUMNS": "200"})
    process = subprocess.Popen(
        [sys.executable, "-m", "gitcoord", *words],
        cwd=alice.path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while some := os.read(ours, 65536):
            shown += some
    os.close(ours)
    process.wait(WAIT_S)
    text = shown.decode().replace("\r\n", "\n")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert faults(plain) == [] and plain
    assert words[0] == "doctor" or (plain != text or words[0] == "events") and ("␛" in plain)


# The door

PRINTS = {  # what may print by itself, and what is not gitcoord's command line
    "gitcoord/cli/common.py": {"click.echo", "Console"},
    "gitcoord/cli/tables.py": {"Console"},  # a table, of cells that are fit
    "gitcoord/cli/status.py": {"Console"},  # redraws, lines made by `styled`
    "gitcoord/cli/import_.py": {"Console"},
    "gitcoord/cli/verify.py": {"Console"},  # counts of their own
    "gitcoord/cli/demo.py": {"Console"},  # a play of its own, whose every line goes through its stage
    "gitcoord/node/tasks/handler.py": {"print"},  # the answer of the user's function, to the process that called it
    "gitcoord/code/git_oracle.py": {"print"},  # a script of the developers
}
PRINTING = {
    "print",
    "Console",
    "click.echo",
    "click.secho",
    "click.style",
    "click.echo_via_pager",
    "sys.stdout.write",
    "sys.stderr.write",
    "sys.stdout.buffer.write",
    "wrong.show",
}


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_nothing_prints_but_through_the_one_door() -> None:
    found = {
        str(path.relative_to(TOP)): PRINTING.intersection(calls(path))
        for path in sorted((TOP / "gitcoord").rglob("*.py"))
    }
    assert {path: which for path, which in found.items() if which} == PRINTS


def test_the_door_is_found_missing(alice: Clone, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that cannot fail is no check: without `fit` the commands above would be caught."""
    monkeypatch.setattr("gitcoord.cli.common.fit", lambda text, place: text)
    assert faults(alice("task", "claim", ids["task_created"], code=2).err)
