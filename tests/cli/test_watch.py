"""`--watch`: what is listed is shown once more when it has changed, until Ctrl-C."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import filelock
import pytest

from tests.cli.clones import Clone
from tests.waiting import WAIT_S


def supervised(alice: Clone) -> object:
    """A supervisor, as far as its files tell; it ends with what is returned."""
    (alice.home / "supervisor.json").write_text('{"pid": 1, "file": "nine.toml", "agents": []}', "utf-8")
    lock = filelock.FileLock(alice.home / "supervisor.lock")
    lock.acquire(timeout=1)
    return lock


@pytest.mark.parametrize(
    ("line", "change", "read"),
    [
        ("queue list", lambda alice: alice("append", "note", "one", "--no-sync"), lambda value: len(value["events"])),
        (
            "config list",
            lambda alice: alice("config", "set", "lead", "false", "--node"),
            lambda value: [one["value"] for one in value["settings"] if one["name"] == "lead"],
        ),
        (
            "config list",
            lambda alice: alice("config", "set", "recent", "5"),
            lambda value: [one["value"] for one in value["settings"] if one["name"] == "recent"],
        ),
        ("fleet status", supervised, lambda value: value["file"]),
        ("reservations", lambda alice: alice("reserve", "src"), lambda value: len(value["items"])),
    ],
    ids=["queue", "node", "fleet", "supervisor", "feature"],
)
def test_it_is_shown_again_when_it_has_changed(
    alice: Clone, line: str, change: Callable[[Clone], object], read: Callable[[Any], object]
) -> None:
    watcher = alice.start(*line.split(), "--watch", "--json", PYTHONUNBUFFERED="1")
    assert watcher.stdout is not None
    try:
        before = read(json.loads(watcher.stdout.readline()))
        held = change(alice)
        assert read(json.loads(watcher.stdout.readline())) != before
        del held
    finally:
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=WAIT_S)
