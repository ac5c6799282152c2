"""Killed, or refused by the system, at each change of a file: the next command goes on, and all is as it was promised.

In CI a spread of the places; one kind at all of them with FAULTS=KILL, ENOSPC, EIO or EACCES (minutes).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.store.git import backoff
from tests.faults.machine import KINDS, WANTED, Done, Fault, Machine, may_trace, spread
from tests.system.fleet import Clone, Fleet

pytestmark = pytest.mark.timeout(3600 if WANTED else 120)

ERRORS = KINDS[1:]
MANNERS = ("Traceback", "report the traceback", "this machine refused")
TURNS_MAX = 4  # commands after a fault until all is well: resume, and a round that finds what a killed one left


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """With strace where it is; else with the layer, so that no test is left out."""
    layer = getattr(request, "param", "strace") == "layer"
    with Machine(tmp_path / "sandbox", strace=not layer and may_trace(tmp_path)) as machine:
        yield machine


BOTH_WAYS = pytest.mark.parametrize("machine", ["strace", "layer"], indirect=True)


@pytest.fixture
def fleet(machine: Machine) -> Iterator[Fleet]:
    with Fleet(machine.folder / "fleet") as fleet:
        yield fleet


class Books:
    """What was attempted on a clone and what was acknowledged, beside what its ledger holds."""

    def __init__(self, machine: Machine, clone: Clone) -> None:
        self.machine, self.clone = machine, clone
        self.attempted: list[str] = []
        self.acknowledged: list[str] = []

    def append(self, *options: str, fault: Fault | None = None, watch: bool = False) -> Done:
        content = f"{self.clone.agent} {len(self.attempted)}"
        self.attempted.append(content)
        done = self.run("append", "note", content, "--json", *options, fault=fault, watch=watch)
        if done.out and json.loads(done.out)["id"]:
            self.acknowledged.append(content)
        return done

    def run(self, *words: str, fault: Fault | None = None, watch: bool = False) -> Done:
        done = self.machine.run(self.clone.path, *words, fault=fault, watch=watch)
        assert not any(word in done.err for word in MANNERS), f"{words} with {fault}: {done.err}"
        return done

    def recover(self, after: Fault | None) -> None:
        """The next commands, as a person would type them, until the queue is empty."""
        said = []
        for turn in range(TURNS_MAX):
            if turn:
                let_a_minute_pass(self.clone)
            if (self.clone.home / "paused").exists():
                said.append(self.run("resume").err)
            done = self.run("sync")
            said.append(done.err)
            if done.code == 0 and not self.pending():
                return
        raise AssertionError(f"after {after} it does not go on: {said}")

    def pending(self) -> int:
        return len((self.clone.home / "events.offline.log").read_bytes().splitlines())

    def check(self, after: Fault | None) -> None:
        """acknowledged ⊆ ledger ⊆ attempted, each once, in order."""
        done = self.run("events", "--json")
        assert done.code == 0, done.err
        rows = [json.loads(line) for line in done.out.splitlines()]
        held = [
            row["event"]["content"]
            for row in rows
            if row["event"]["type"] == "note" and row["event"]["actor"] == self.clone.agent
        ]
        assert {row["level"] for row in rows} == {"sequenced"}, after
        assert set(self.acknowledged) <= set(held) <= set(self.attempted), after
        assert not held or max(Counter(held).values()) == 1, after
        assert held == sorted(held, key=self.attempted.index), after

    def verify(self) -> None:
        done = self.run("verify")
        assert done.code == 0, done.out + done.err


def let_a_minute_pass(clone: Clone) -> None:
    """A killed git's lock is not taken away before any git of ours must have ended: it is made to look old.

    A ref that could not be fetched is left alone for less than a minute at first.
    """
    for lock in clone.home.glob("store.git/**/*.lock"):
        with contextlib.suppress(FileNotFoundError):
            os.utime(lock, (0, 0))
    (clone.home / "store.git" / backoff.FILE).unlink(missing_ok=True)


@BOTH_WAYS
def test_append_at_every_write(machine: Machine, fleet: Fleet) -> None:
    books = Books(machine, fleet.clone("alice"))
    points = books.append("--no-sync", watch=True).points
    assert len(points) >= 2  # the write and its fsync
    for at, (call, when) in enumerate(spread(points, 6)):
        for fault in every(call, when, turn=at):
            books.append("--no-sync", fault=fault)
            books.append("--no-sync")  # whoever comes next mends what was torn
            books.recover(fault)
            books.check(fault)
    books.verify()


@BOTH_WAYS
def test_a_round_at_every_write(machine: Machine, fleet: Fleet) -> None:
    books = Books(machine, fleet.clone("alice"))
    books.append("--no-sync")
    points = books.run("sync", watch=True).points
    assert len(points) >= 10
    for at, (call, when) in enumerate(spread(points, 8)):
        for fault in every(call, when, turn=at):
            books.append("--no-sync")
            books.run("sync", fault=fault)
            books.recover(fault)
            books.check(fault)
    books.verify()


def test_confirmed_appends_at_every_write(machine: Machine, fleet: Fleet) -> None:
    """What was told SEQUENCED is on the remote, whatever happens to this machine afterwards."""
    books, other = Books(machine, fleet.clone("alice")), Books(machine, fleet.clone("bob"))
    points = books.append("--wait", "sequenced", watch=True).points
    for at, (call, when) in enumerate(spread(points, 5)):
        fault = every(call, when, turn=at)[0]
        done = books.append("--wait", "sequenced", "--timeout", "5", fault=fault)
        if done.code == 0:
            other.run("sync")
            held = [json.loads(line)["event"]["content"] for line in other.run("events", "--json").out.splitlines()]
            assert books.attempted[-1] in held, fault
        books.recover(fault)
        books.check(fault)
    books.verify()


def test_a_snapshot_at_every_write(machine: Machine, fleet: Fleet) -> None:
    books = Books(machine, fleet.clone("alice"))
    books.append()
    books.append()
    books.run("snapshot")
    books.append()
    points = books.run("snapshot", watch=True).points
    page = books.clone.path / "communication.md"
    for at, (call, when) in enumerate(spread(points, 6)):
        for fault in every(call, when, turn=at):
            books.append()
            books.run("snapshot", fault=fault)
            pages = [path.read_text() for path in (page, page.with_name("communication.md.bak")) if path.exists()]
            assert any(whole(text) for text in pages), fault
            assert whole(page.read_text()) or not page.exists(), fault
            books.recover(fault)
            assert books.run("snapshot").code == 0, fault
            assert whole(page.read_text()) and books.acknowledged[-1] in page.read_text(), fault
            books.check(fault)
    books.verify()


def whole(text: str) -> bool:
    return text.startswith("<!--") or text.rstrip().endswith("<!-- END COMMUNICATION -->")


@pytest.mark.parametrize("first", [True, False], ids=["founding", "joining"])
def test_init_at_every_write(machine: Machine, tmp_path: Path, first: bool) -> None:
    """Run again it ends well, with one fleet and one membership, and the clone works."""

    def fresh(number: int) -> Fleet:
        return Fleet(machine.folder / f"fleet{number}")

    def init(clone: Clone, fleet: Fleet, fault: Fault | None = None, watch: bool = False) -> Done:
        clone.path.mkdir(exist_ok=True)
        words = ("init", "--remote", fleet.url, "--agent", clone.agent)
        done = machine.run(clone.path, *words, fault=fault, watch=watch)
        assert not any(word in done.err for word in MANNERS), f"init with {fault}: {done.err}"
        return done

    shared = fresh(0)
    if not first:
        shared.clone("founder")
    points = init(Clone(shared.folder / "seen", "seen", shared), shared, watch=True).points
    assert len(points) >= 30
    for number, (call, when) in enumerate(spread(points, 7), 1):
        fault = every(call, when, turn=number)[0]
        fleet = fresh(number) if first else shared
        clone = Clone(fleet.folder / f"alice{number}", f"alice{number}", fleet)
        init(clone, fleet, fault)
        for _ in range(TURNS_MAX):
            let_a_minute_pass(clone)
            for lock in (clone.path / ".git").glob("*.lock"):  # of a killed `git init`: the user's own, told by name
                lock.unlink()
            if (clone.home / "paused").exists():
                machine.run(clone.path, "resume")
            done = init(clone, fleet)
            if done.code == 0:
                break
        assert done.code == 0, f"after {fault}: {done.err}"
        books = Books(machine, clone)
        books.append("--wait", "sequenced")
        assert books.acknowledged == books.attempted, fault
        books.check(fault)
        types = [json.loads(line)["event"] for line in books.run("events", "--json").out.splitlines()]
        joined = [event for event in types if event["type"] == "agent_joined" and event["actor"] == clone.agent]
        assert len(joined) <= 1 and sum(event["type"] == "fleet_founded" for event in types) <= 1, fault
        books.verify()


def every(call: str, when: int, *, turn: int) -> list[Fault]:
    """The faults at one place: killed, and by turns one of the errors, once or for good (or the `WANTED` ones)."""
    faults = [Fault(call, when)]
    faults += [Fault(call, when, error, for_good) for error in ERRORS for for_good in (False, True)]
    if WANTED:
        return [fault for fault in faults if fault.what == WANTED]
    chosen = [faults[0], faults[1 + turn % 6]]
    return chosen if turn % 2 else chosen[::-1]
