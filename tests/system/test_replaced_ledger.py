"""The ledger's branch is overwritten by force, with real git and real agents: the fleet goes on, or asks a person."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.system.fleet import Clone, Fleet

LEDGER = "refs/heads/gitcoord/ledger"


def git(*words: str, given: str = "") -> str:
    done = subprocess.run(["git", *words], input=given, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def lay_another(fleet: Fleet) -> None:
    """Found a fleet elsewhere, and push its ledger over ours by force."""
    with Fleet(fleet.folder / f"strange-{fleet.next_log().stem}") as strange:
        strange.clone("mallory")
        git("-C", strange.url, "push", "--quiet", "--force", fleet.url, f"{LEDGER}:{LEDGER}")


def lay_source(fleet: Fleet) -> None:
    """Push a commit of somebody's source over the ledger by force, as a job with a wrong branch does."""
    work = ["-C", fleet.url, "-c", "user.name=m", "-c", "user.email=m@example.invalid"]
    blob = git(*work, "hash-object", "-w", "--stdin", given="print()\n")
    tree = git(*work, "mktree", given=f"100644 blob {blob}\tmain.py\n")
    git(*work, "update-ref", LEDGER, git(*work, "commit-tree", tree, "-m", "oops"))


def tip(fleet: Fleet) -> str:
    return git("-C", fleet.url, "rev-parse", LEDGER)


@pytest.mark.parametrize("lay", [lay_another, lay_source])
def test_agents_that_run_put_their_ledger_back_and_go_on(
    pair: tuple[Clone, Clone], fleet: Fleet, lay: Callable[[Fleet], None]
) -> None:
    alice, bob = pair
    leader = alice.start()
    leader.wait_for("leader", "alice leads term 1 (here)")
    follower = bob.start()
    follower.wait_for("leader", "alice leads term 1")
    before = tip(fleet)
    lay(fleet)
    assert bob.append("note", "still here", "--wait", "sequenced")["level"] == "sequenced"
    git("-C", fleet.url, "merge-base", "--is-ancestor", before, tip(fleet))
    assert len(leader.said("replaced") + follower.said("replaced")) >= 1
    assert not leader.said("fork") and not follower.said("fork")
    assert leader.process.poll() is None and follower.process.poll() is None
    assert (leader.terminate(), follower.terminate()) == (0, 0)


def forget(clone: Clone) -> None:
    """As if this clone had been away for months."""
    (clone.home / "sight").write_text("1\n")


def test_agents_whose_clones_were_away_for_months_ask_a_person_whose_one_word_decides_for_all(
    pair: tuple[Clone, Clone], fleet: Fleet
) -> None:
    alice, bob = pair
    lay_another(fleet)
    theirs = tip(fleet)
    for clone in pair:
        forget(clone)
    agents = [clone.start() for clone in pair]
    for agent in agents:
        assert "gitcoord sync --restore" in agent.wait_for("damaged")
    refused = alice.run("append", "note", "waits", "--wait", "sequenced", "--timeout", "1", code=None)
    assert refused.returncode and tip(fleet) == theirs
    alice.run("sync", "--restore", code=None)
    for agent in agents:
        agent.wait_for("leader", "leads term 1")
    assert bob.append("note", "goes on", "--wait", "sequenced")["level"] == "sequenced"
    assert "waits" in bob.run("events", "--no-sync").stdout
