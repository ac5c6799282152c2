"""Too much, put by hand where everybody reads it: a node's memory stays small, it says what is wrong, and mends it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.core import limits
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import TreeEntry
from tests.fuzz.parsers import store
from tests.system.fleet import Clone, Fleet, surroundings
from tests.waiting import WAIT_S

LEDGER = "refs/heads/gitcoord/ledger"
MIB = 1024 * 1024
PEAK_MIB_MAX = 130  # 60 to 80 measured; what is put there, read once, is above it
PROGRAM = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "gitcoord", *sys.argv[1:]]).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path / "fleet") as fleet:
        git(fleet, "config", "core.bigFileThreshold", "1m")  # the server's memory is not what is tested here
        yield fleet


def git(fleet: Fleet, *words: str, given: bytes = b"") -> str:
    done = subprocess.run(["git", "-C", fleet.url, *words], input=given, capture_output=True, check=True)
    return done.stdout.decode().strip()


def tree(fleet: Fleet, rows: dict[str, str]) -> str:
    """A tree of blobs and of trees (names that end in a slash)."""
    lines = [
        f"40000 tree {oid}\t{name[:-1]}" if name.endswith("/") else f"100644 blob {oid}\t{name}"
        for name, oid in rows.items()
    ]
    return git(fleet, "mktree", given="\n".join([*lines, ""]).encode())


def commit(fleet: Fleet, oid: str, *parents: str) -> str:
    options = [word for parent in parents for word in ("-p", parent)]
    return git(fleet, "-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", oid, *options, given=b"by hand")


def blob(fleet: Fleet, data: bytes) -> str:
    return git(fleet, "hash-object", "-w", "--stdin", given=data)


def run(clone: Clone, *words: str) -> int:
    """A command in the clone; the memory, in MiB, that its largest process took."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=clone.path,
        env=surroundings(),
        text=True,
        capture_output=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.rsplit("peak ", 1)[1])


def notes(clone: Clone) -> list[str]:
    return [json.loads(line)["content"] for line in clone.lines() if json.loads(line)["type"] == "note"]


@pytest.mark.parametrize("what", ["zeros", "newlines", "one blob many times"])
def test_what_is_too_large_on_the_ledger_branch_is_not_read_and_is_mended(fleet: Fleet, what: str) -> None:
    alice, bob = fleet.clone("alice"), fleet.clone("bob")
    alice.append("note", "before", "--wait", "sequenced")
    tip = git(fleet, "rev-parse", LEDGER)
    rows: dict[str, str] = {}
    for row in git(fleet, "ls-tree", tip).splitlines():
        meta, name = row.split("\t")
        rows[name + "/" * (meta.split()[1] == "tree")] = meta.split()[2]
    if what == "one blob many times":
        one = blob(fleet, b"x\n" * (limits.LOG_FILE_BYTES_MAX // 4 // 1024) + b"y" * (MIB // 2))
        folder = tree(fleet, {f"{number:08d}.log": one for number in range(100)})
        rows["events/"] = tree(fleet, {f"{number:04d}/": folder for number in range(1000)})
    else:
        rows["events-0000000000.log"] = blob(fleet, bytes(100 * MIB) if what == "zeros" else b"\n" * 40 * MIB)
    git(fleet, "update-ref", LEDGER, commit(fleet, tree(fleet, rows), tip), tip)
    for clone in (alice, bob):
        peak = run(clone, "append", "note", f"{clone.agent} after", "--wait", "sequenced")
        assert peak < PEAK_MIB_MAX, peak
    assert notes(alice) == notes(bob) == ["before", "alice after", "bob after"]
    assert int(git(fleet, "cat-file", "-s", f"{LEDGER}:events-0000000000.log")) < limits.LOG_FILE_BYTES_MAX
    said = (alice.home / "events.error.log").read_text()
    assert "no log file of ours" in said or "not a log file" in said


def test_a_neighbour_s_outbox_without_measure_is_left_alone(fleet: Fleet) -> None:
    alice = fleet.clone("alice")
    large = blob(fleet, bytes(100 * MIB))
    empty = blob(fleet, b"\n" * 16 * MIB)
    queue = tree(fleet, {f"{number:08d}.log": oid for number, oid in enumerate([large, empty] * 500)})
    for number in range(3):
        box = tree(fleet, {"queue/": queue, "heartbeats.log": empty, "orphans.log": large})
        git(fleet, "update-ref", f"refs/gitcoord/nodes/mallory-{number}", commit(fleet, box))
    peak = run(alice, "append", "note", "in spite of it", "--wait", "sequenced")
    assert peak < PEAK_MIB_MAX, peak
    assert run(alice, "status") < PEAK_MIB_MAX
    assert notes(alice) == ["in spite of it"]


def test_of_a_long_outbox_the_first_lines_are_taken_and_the_own_one_is_read_whole() -> None:
    objects = store()
    lines = [b"%0200d" % number for number in range(limits.OUTBOX_LINES_MAX + 500)]
    files = {
        f"{at:08d}.log": TreeEntry(objects.put_blob(b"\n".join(lines[at : at + 256]) + b"\n"))
        for at in range(0, len(lines), 256)
    }
    root = {
        "queue": TreeEntry(objects.put_tree(files), is_tree=True),
        "orphans.log": TreeEntry(objects.put_blob(b"\n".join(lines) + b"\n")),
    }
    oid = objects.put_commit(tree=objects.put_tree(root), parents=[], message="", author="x", time_s=0)
    theirs, mine = outbox.read(objects, oid), outbox.read(objects, oid, whole=True)
    assert list(theirs.lines) == list(theirs.orphans) == lines[: limits.OUTBOX_LINES_MAX]
    assert list(mine.lines) == list(mine.orphans) == lines
