"""A remote that refuses: one event, everything, the ledger, a namespace. What it minds is named; the rest goes on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.system.fleet import Clone, Fleet
from tests.waiting import wait_until

DENY_TEXT = """#!/bin/sh
# Refuses what says FORBIDDEN in any line that is pushed.
while read old new ref; do
    case $new in *[!0]*) ;; *) continue;; esac
    git grep -q FORBIDDEN "$new" -- && { echo "policy: no such words here" >&2; exit 1; }
done
exit 0
"""
DENY_ALL = "#!/bin/sh\necho 'closed for today' >&2\nexit 1\n"
DENY_LEDGER = "#!/bin/sh\nwhile read old new ref; do case $ref in */ledger) echo 'protected' >&2; exit 1;; esac; done\n"
DENY_LEDGER_ALONE = '#!/bin/sh\ncase "$1" in */ledger) echo "protected" >&2; exit 1;; esac\n'
DENY_CUSTOM = """#!/bin/sh
while read old new ref; do case $ref in refs/heads/*) ;; *) echo 'only branches here' >&2; exit 1;; esac; done
"""


def hook(fleet: Fleet, text: str | None, name: str = "pre-receive") -> None:
    path = Path(fleet.url) / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
        path.chmod(0o755)


def git(fleet: Fleet, *words: str) -> str:
    return subprocess.run(["git", "-C", fleet.url, *words], check=True, capture_output=True, text=True).stdout


def notes(clone: Clone) -> list[str]:
    return [json.loads(line)["content"] for line in clone.lines() if json.loads(line)["type"] == "note"]


def test_one_event_that_a_hook_minds_is_named_and_can_be_dropped(fleet: Fleet) -> None:
    alice, bob = fleet.clone("alice"), fleet.clone("bob")
    hook(fleet, DENY_TEXT)
    with alice.node() as node:
        drafts = [node.draft("note", text, actor="alice") for text in ("before", "FORBIDDEN words", "after")]
        events = node.append(*drafts)
    done = alice.run("sync", code=None)
    assert events[1].uid[:8] in done.stderr and "no such words here" in done.stderr, done.stderr
    assert "gitcoord queue drop" in done.stderr
    bob.append("note", "others go on", "--wait", "sequenced")
    assert sorted(notes(bob)) == ["before", "others go on"]  # the rest of alice's is on the remote, for anyone to take
    alice.run("queue", "drop", events[1].uid)
    alice.run("sync")
    assert notes(bob)[-1] == "after" and len(notes(bob)) == 3


def test_a_running_agent_names_the_event_once_and_does_not_spin(fleet: Fleet) -> None:
    alice, bob = fleet.clone("alice"), fleet.clone("bob")
    run = alice.start()
    run.wait_for("leader", "(here)")
    hook(fleet, DENY_TEXT)
    said = alice.append("note", "FORBIDDEN words")
    run.wait_for("event_denied", said["id"][:8])
    begun = rounds(alice)
    bob.append("note", "others go on", "--wait", "sequenced")
    wait_until(lambda: run.said("leader")[-1].endswith("(here)") and rounds(alice) > begun + 6, what="some rounds more")
    assert len(run.said("event_denied")) == 1
    alice.run("queue", "drop", said["id"])
    alice.append("note", "mended", "--wait", "sequenced")
    assert notes(bob) == ["others go on", "mended"]


def rounds(clone: Clone) -> int:
    return int(json.loads((clone.home / "progress.json").read_text())["rounds"])


def test_a_remote_that_refuses_everything_is_told_and_all_goes_out_later(fleet: Fleet) -> None:
    alice = fleet.clone("alice")
    hook(fleet, DENY_ALL)
    done = alice.run("append", "note", "kept", "--wait", "durable", "--timeout", "20", code=1)
    assert "closed for today" in done.stderr and "Traceback" not in done.stderr
    assert alice.append("note", "kept as well")["level"] == "queued"
    hook(fleet, None)
    alice.run("sync")
    assert notes(alice) == ["kept", "kept as well"]


@pytest.mark.parametrize("name, text", [("pre-receive", DENY_LEDGER), ("update", DENY_LEDGER_ALONE)])
def test_where_only_the_ledger_is_refused_events_are_durable_all_the_same(fleet: Fleet, name: str, text: str) -> None:
    alice = fleet.clone("alice")
    hook(fleet, text, name)
    said = alice.append("note", "durable", "--wait", "durable", "--timeout", "20")
    assert said["level"] == "durable"
    hook(fleet, None, name)
    alice.append("note", "and then", "--wait", "sequenced")
    assert notes(alice) == ["durable", "and then"]


@pytest.mark.parametrize("way", ["hook", "hideRefs"])
def test_where_only_branches_are_accepted_outboxes_live_there(fleet: Fleet, way: str) -> None:
    if way == "hook":
        hook(fleet, DENY_CUSTOM)
    else:
        git(fleet, "config", "transfer.hideRefs", "refs/gitcoord")
    alice, bob = fleet.clone("alice"), fleet.clone("bob")
    assert json.loads((bob.home / "config.json").read_text())["namespace"] == "refs/heads/gitcoord"
    run = alice.start()
    run.wait_for("leader", "(here)")
    bob.append("note", "through branches", "--wait", "sequenced")
    refs = git(fleet, "for-each-ref", "--format=%(refname)").split()
    assert all(ref.startswith("refs/heads/gitcoord/") for ref in refs) and len(refs) == 3
    assert notes(alice) == ["through branches"]


def test_where_rewriting_is_denied_outboxes_grow_instead(fleet: Fleet) -> None:
    git(fleet, "config", "receive.denyNonFastForwards", "true")
    git(fleet, "config", "receive.denyDeletes", "true")
    alice = fleet.clone("alice", "--namespace", "refs/heads/gitcoord")
    bob = fleet.clone("bob")
    for number in range(3):
        alice.append("note", f"number {number}", "--wait", "sequenced")
    bob.append("note", "from bob", "--wait", "sequenced")
    assert notes(bob) == ["number 0", "number 1", "number 2", "from bob"]
