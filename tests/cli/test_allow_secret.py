"""What looks like a secret is refused by every command that writes somebody's words, and passes where they say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.clones import Clone
from tests.cli.test_dry_run import commands, options

TOKEN = "ghp_" + "a1B2" * 9
NO_WORDS: Mapping[str, str] = {
    "leave": "an agent's name",
    "move": "an address; one with a login is refused",
    "elect": "an agent's name",
    "resume": "what the disk said; secrets in it are hidden",
    "agent rekey": "a public key",
    "review post": "what GitHub says; secrets in it are hidden",
    "conflict check": "branches; secrets in them are hidden",
    "queue drop": "it takes an event away",
    "fleet start": "it starts agents, which hide secrets",
    "fleet stop": "it stops agents",
    "setup": "files of a client",
    "hook install": "a file of the clone's",
    "hook uninstall": "a file of the clone's",
    "config unset": "a setting's name",
    "worktree add": "an agent's name",
    "worktree remove": "titles that stand in the log; secrets in them are hidden",
}
PLACES = [
    ("append", "note", TOKEN),
    ("append", "note", "words", "--data", json.dumps({"a": [TOKEN]})),
    ("task", "create", TOKEN),
    ("task", "create", "t", "--body", TOKEN),
    ("task", "create", "t", "--data", json.dumps({"a": TOKEN})),
    ("reserve", f"src/{TOKEN}"),
    ("reserve", "a", "--why", TOKEN),
    ("agent", "register", "--about", TOKEN),
    ("config", "set", "review_labels", json.dumps([TOKEN])),
    ("directive", "issue", TOKEN, "--to", "alice"),
    ("message", "send", TOKEN, "--to", "alice"),
]


def test_every_command_that_writes_words_can_be_told_to() -> None:
    lacking = {name for name, one in commands() if "--dry-run" in options(one) and "--allow-secret" not in options(one)}
    assert lacking == set(NO_WORDS)


@pytest.mark.parametrize("words", PLACES, ids=lambda words: " ".join(words)[:30])
def test_no_place_of_an_event_takes_one(alice: Clone, words: tuple[str, ...]) -> None:
    for more in ((), ("--dry-run",)):
        refused = alice(*words, *more, code=None)
        assert refused.code == 2 and "secret" in refused.err and TOKEN not in refused.err + refused.out, refused


@pytest.mark.parametrize("words", PLACES[:4], ids=lambda words: " ".join(words)[:30])
def test_a_false_alarm_is_overruled(alice: Clone, words: tuple[str, ...]) -> None:
    alice(*words, "--allow-secret")


def test_an_import_leaves_it_out_and_takes_it_when_told_to(alice: Clone, tmp_path: Path) -> None:
    line = {"interaction": 1, "actor": "old", "type": "note", "content": f"see {TOKEN}"}
    line["timestamp"] = "2026-01-01T00:00:00Z"
    log = tmp_path / "old.log"
    log.write_text(json.dumps(line) + "\n", encoding="utf-8")
    refused = alice("import", str(log), code=1)
    assert "--allow-secret" in refused.err and TOKEN not in refused.err
    assert "1 imported" in alice("import", str(log), "--allow-secret").out


def test_an_agents_name_is_none(alice: Clone) -> None:
    refused = alice("init", "--agent", TOKEN, "--yes", code=2)
    assert "looks like a secret" in refused.err and TOKEN not in refused.err
