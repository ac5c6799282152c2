"""A fleet on one machine: its register is in the clone, the forge shows a mirror, and both may be moved."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gitcoord.core.format.event import parse
from tests.cli.clones import gitcoord
from tests.system.fleet import Clone, Fleet
from tests.waiting import wait_until

MIRROR, KEPT = "refs/heads/gitcoord/mirror", "refs/gitcoord/kept/ledger"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
    return done.stdout.strip()


def local_clone(fleet: Fleet, name: str, origin: Path, *options: str) -> Clone:
    clone = Clone(fleet.folder / name, name, fleet)
    subprocess.run(["git", "init", "-q", str(clone.path)], check=True)
    git(clone.path, "remote", "add", "origin", str(origin))
    done = gitcoord(clone.path, "init", "--agent", name, *options)
    assert done.code == 0, done
    return clone


def test_a_claim_needs_no_forge_and_the_mirror_catches_up(fleet: Fleet) -> None:
    forge, away = Path(fleet.url), Path(fleet.url).with_name("away.git")
    forge.rename(away)
    ann = local_clone(fleet, "ann", forge, "--local", "--mirror", "origin")
    agent = ann.start()
    agent.wait_for("leader", "ann leads")
    agent.wait_for("mirror", "the mirror at origin")
    task = ann.json("task", "create", "Fix the parser")["ids"][0]
    assert ann.json("task", "claim", task)["level"] == "sequenced"
    told = ann.json("status")
    assert told["online"] and told["mirror"]["behind"] and told["mirror"]["problem"]
    assert any("the mirror at origin is behind" in line for line in told["attention"])
    bob = local_clone(fleet, "bob", forge, "--remote", str(ann.path))  # another clone joins by the path of the first
    assert bob.json("task", "list")["items"][0]["agent"] == "ann"

    away.rename(forge)
    agent.wait_for("mirror", "resolved")
    wait_until(lambda: "Fix the parser" in git(forge, "show", f"{MIRROR}:board.md"), what="the board on the forge")
    assert git(forge, "for-each-ref", "--format=%(refname)") == MIRROR  # no second register, no outbox
    assert agent.terminate() == 0
    # The mirror is no register: who clones from the forge is told where the fleet is.
    stranger = fleet.folder / "stranger"
    stranger.mkdir()
    done = gitcoord(stranger, "init", "--agent", "eve", "--remote", str(forge))
    assert done.code == 2 and "has the mirror of a fleet" in done.err


HOOK = """#!/bin/sh
# The second time that the ledger comes, whoever sends it waits until the test lets it go on, in vain.
if grep -q refs/heads/gitcoord/ledger; then
    echo >> ledgers
    if [ "$(wc -l < ledgers)" -eq 2 ]; then
        touch reached
        while [ ! -e release ]; do sleep 0.05; done
        exit 1
    fi
fi
"""


def test_a_move_outlives_a_kill_and_takes_along_what_is_queued_elsewhere(fleet: Fleet) -> None:
    forge = Path(fleet.url)
    ann = local_clone(fleet, "ann", forge, "--local", "--mirror", "origin")
    bob = local_clone(fleet, "bob", forge, "--remote", str(ann.path))
    cyd = local_clone(fleet, "cyd", forge, "--remote", str(ann.path))
    cyd.run("config", "set", "follow_moves", "true", "--node")
    for number in range(3):
        ann.append("note", f"ann {number}")
        bob.append("note", f"bob {number}", "--no-sync")  # in bob's queue only
        cyd.append("note", f"cyd {number}")
    before = ann.lines()
    git(ann.home / "store.git", "push", "-q", str(forge), f"{git(ann.home / 'store.git', 'rev-parse', KEPT)}:{MIRROR}")
    assert "only an admin may" in bob.run("move", "origin", code=2).stderr

    hook = forge / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)
    mover = ann.launch("-m", "gitcoord", "move", "origin")
    wait_until((forge / "reached").exists, what=f"the ledger at the forge: {mover.complaint()}")
    mover.kill()  # the old ledger has ended, and the new one is not open
    (forge / "release").touch()
    told = bob.run("append", "note", "bob 3", "--wait", "sequenced", code=1).stderr
    assert "ann moved the fleet to" in told and "gitcoord move --follow" in told
    hook.unlink()
    agent = ann.start()  # any process of that clone ends the move
    agent.wait_for("leader", "ann leads")
    follower = cyd.start()
    follower.wait_for("leader", "ann leads")
    ann.append("note", "ann 3", "--wait", "sequenced")
    assert bob.json("move", "--follow") == {"schema": "gitcoord.move/1", "to": str(forge), "followed": True}
    cyd.append("note", "cyd 3", "--wait", "sequenced")

    lines = bob.lines()
    assert lines[: len(before)] == before  # the same ledger, with the same ids and positions
    said = [parse(line) for line in lines]
    for name in ("ann", "bob", "cyd"):
        notes = [event.content for event in said if event.type == "note" and event.actor == name]
        assert notes == [f"{name} {number}" for number in range(4)]
    assert [event.type for event in said if event.type.startswith("fleet_")] == [
        "fleet_founded",
        "fleet_moved",
        "fleet_arrived",
    ]
    assert ann.json("config", "get", "profile")["settings"][0]["value"] == "local"  # the forge is a folder here
    for clone in (ann, bob, cyd):
        assert clone.run("verify").returncode == 0
        assert clone.json("status")["ledger"]["position"] >= len(lines)
    assert (agent.terminate(), follower.terminate()) == (0, 0)
    refs = git(forge, "for-each-ref", "--format=%(refname)").splitlines()
    assert "refs/heads/gitcoord/ledger" in refs and len(refs) == 4 and MIRROR not in refs  # the mirror's time is over
    assert ann.json("status")["mirror"] is None
