"""`--dry-run`: what changes something has it, says what it would do, and changes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from gitcoord.cli.main import gitcoord, words
from gitcoord.store import files
from tests.cli.clones import TOP, Clone

READ = {
    "events",
    "status",
    "wait",
    "whoami",
    "verify",
    "doctor",
    "simulate",
    "ready",
    "inbox",
    "reservations",
    "autonomy proposals",
    "alerts",
    "fleet status",
    "queue list",
    "config list",
    "config get",
    "hook pre-commit",
    "hook session-start",
    "hook edit",
    "agent prove",
    "worktree list",
}
WITHOUT: Mapping[str, str] = {
    "init": "run again it changes nothing, and what it finds on the remote decides what it does",
    "sync": "it exchanges what is written already",
    "snapshot": "it renders: --out names a folder to try it in",
    "agent run": "it does what comes",
    "actions report": "it prints, where no runner asks for files",
    "mcp": "its client decides",
    "hook session-end": "its client calls it",
    "demo": "it works in a folder of its own",
}


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(gitcoord)
    for word in words():
        found = gitcoord.get_command(context, word)
        if isinstance(found, click.Group):
            for name in found.list_commands(context):
                one = found.get_command(context, name)
                assert one is not None
                yield f"{word} {name}", one
        else:
            assert found is not None
            yield word, found


def options(one: click.Command) -> set[str]:
    return {option for parameter in one.params for option in parameter.opts}


def test_every_command_that_changes_something_has_it() -> None:
    lacking = {
        name
        for name, one in commands()
        if "--dry-run" not in options(one)
        and name not in WITHOUT
        and name not in READ
        and "--no-sync" not in options(one)
    }  # a feature's query: it reads
    assert lacking == set()


def held(clone: Clone) -> dict[str, object]:
    """All that a command could change: the clone's home (but what a look at the remote notes), hooks, the remote."""
    seen: dict[str, object] = {}
    for folder in (clone.home, clone.path / ".git" / "hooks"):
        for path in sorted(folder.rglob("*")):
            kept = path.relative_to(folder).parts[0] not in ("store.git", "cache", "status.json", "progress.json")
            if path.is_file() and kept and not path.name.endswith("lock"):
                seen[str(path)] = path.read_bytes()
    seen["remote"] = subprocess.run(
        ["git", "-C", str(clone.remote), "for-each-ref"], check=True, capture_output=True
    ).stdout
    return seen


SAID = {
    "append question 'Who?' --to bob": "would write question: Who?",
    "agent admit bob --role reviewer": "would write agent_admitted: alice admits bob",
    "agent admission closed": "would write admission_changed: alice makes the fleet closed",
    "agent rekey": "would write key_changed: alice has a new key",
    "config set recent 5": "would write config_changed: recent = 5",
    "config unset recent": "would write config_changed: recent back to its default",
    "config set lead false": "would set lead of this node to false",
    "hook install": "would write ",
    "hook uninstall": "nothing to do",
    "setup claude": "would write .mcp.json (the MCP server)",
    "setup claude --remove": "nothing to do",
    "elect": "would campaign",
    "leave": "would write agent_left: alice leaves",
    "resume": "nothing to do",
    "fleet stop": "nothing to do",
    "fleet start nine.toml": "would start ",
    "import log": "would import ",
    "reserve src": "would write paths_reserved: alice reserves src",
}


@pytest.mark.parametrize("line", SAID)
def test_it_says_what_would_be_done_and_changes_nothing(alice: Clone, bob: Clone, line: str) -> None:
    for name, source in (("nine.toml", TOP / "examples" / "nine.toml"), ("log", TOP / "events.offline.log")):
        (alice.path / name).write_bytes(Path(source).read_bytes())
    alice("sync")
    before = held(alice)
    words = [word.strip("'") for word in line.split()]
    said = alice(*words, "--dry-run")
    value = alice(*words, "--dry-run", "--json").json()
    assert said.out.startswith(SAID[line]) and held(alice) == before
    assert value["dry_run"] is True and len(value["events"]) + len(value["changes"]) == said.out.count("would ")


def test_what_is_queued_stays_and_a_pause_too(alice: Clone) -> None:
    alice("append", "note", "one", "--no-sync")
    uid = alice("queue", "list", "--json").json()["events"][0]["event"]["uid"]
    assert alice("queue", "drop", uid, "--dry-run").out == f"would drop {uid[:8]} (note by alice)\n"
    assert "would first deliver what is queued (1)" in alice("leave", "--dry-run").out
    files.write_quickly(alice.home / "paused", b"the disk is full")
    before = held(alice)
    said = alice("resume", "--dry-run").out
    assert said.startswith("would write error: was paused for ")
    assert said.endswith("would end the pause: the disk is full\n") and held(alice) == before


def test_what_is_refused_is_refused_without_it_too(alice: Clone, bob: Clone) -> None:
    for line, code in {
        "append note -": 2,
        "agent admit carol": 2,
        "config set recent none": 2,
        "config set remote": 2,
        "queue drop k3f9": 2,
        "elect --resign": 3,
        "agent rekey --as bob": 2,
        "append note hi --as bob": 2,
        "import none.log": 2,
        "conflict check": 2,
    }.items():
        stdin = b"x" * 70_000
        dry = alice(*line.split(), "--dry-run", code=code, stdin=stdin)
        if line != "conflict check":  # which looks only, unless it is to --record
            assert alice(*line.split(), code=code, stdin=stdin).err == dry.err


def test_a_leader_says_what_it_would_resign_with(alice: Clone) -> None:
    alice("elect")
    assert alice("elect", "--resign", "--dry-run").out == "would write leader_resigned: alice resigns\n"
    assert alice("elect", "--status", "--json").json()["leader"]["agent"] == "alice"
    assert alice("elect", "--dry-run").out == "would watch alice, and campaign if it is silent\n"
