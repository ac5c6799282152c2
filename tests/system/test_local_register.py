"""A fleet on one machine: its register is in the clone, the forge shows a mirror, and both may be moved."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cli.clones import gitcoord
from tests.system.fleet import Clone, Fleet
from tests.waiting import wait_until

MIRROR = "refs/heads/gitcoord/mirror"


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
    agent.wait_for("mirror", "goes on")
    wait_until(lambda: "Fix the parser" in git(forge, "show", f"{MIRROR}:board.md"), what="the board on the forge")
    assert git(forge, "for-each-ref", "--format=%(refname)") == MIRROR  # no second register, no outbox
    assert agent.terminate() == 0
    # The mirror is no register: who clones from the forge is told where the fleet is.
    stranger = fleet.folder / "stranger"
    stranger.mkdir()
    done = gitcoord(stranger, "init", "--agent", "eve", "--remote", str(forge))
    assert done.code == 2 and "has the mirror of a fleet" in done.err
