"""The plain fold reads every tree that anybody may write as the product does."""

from __future__ import annotations

import random

import pytest

from gitcoord.core import limits
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Event, Head, parse, seal
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import LogFiles, open_path
from gitcoord.core.ports import Oid, TreeEntry
from gitcoord.simulation.checking import reference_fold
from gitcoord.simulation.faults import Weather
from gitcoord.simulation.hostile.odd_trees import OddTrees, Tree
from gitcoord.simulation.signing import Signers
from gitcoord.simulation.world import World

SEEDS = 60
COMMITS = 12


class Ledger:
    """A ledger whose commits honest and other authors write in turn, and both of its readers."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world = World(seed, Weather(), PROFILES["github"], Signers(real=False), 0.0, 100.0)
        self.branch = LedgerBranch(self.world.god, FleetState({}, self.world.signers.verifier))
        self.branch.apply_commit(self.world.tip)
        self.head = Head()
        self.odd = OddTrees(self.world.god, self.rng)
        self.ways: set[str] = set()

    def events(self) -> list[Event]:
        """The next ones of one chain: some so long that a file is soon full."""
        events = []
        for _ in range(self.rng.randrange(1, 6)):
            content = "x" * self.rng.choice([1, 9_000])
            draft = Draft("founder", "note", content, self.world.wall(), self.world.uid("founder"))
            events.append(
                seal(
                    draft,
                    node="founder-0",
                    after=events[-1].head if events else self.head,
                    signer=self.world.signers.of("founder"),
                    fleet=self.world.fleet_id,
                )
            )
        return events

    def commit(self, tree: Oid) -> None:
        commit = self.world.god.put_commit(
            tree=tree, parents=[self.world.tip], author="founder", time_s=0, message=self.world.uid("commit")
        )
        self.world.server.refs[next(iter(self.world.server.refs))] = commit
        self.branch.apply_commit(commit)
        self.head = self.branch.fleet.heads.get("founder-0", Head())

    def extend(self) -> None:
        """As honest writers do, who repair what they find."""
        self.commit(self.branch.write(self.branch.extend([event.line for event in self.events()]), {}))

    def rearrange(self, way: str | None = None) -> None:
        """Lay the files otherwise, and put lines after them."""
        tree, done = self.odd.rearranged(self.tree, way)
        self.ways.add(done)
        if self.rng.random() < 0.5:
            self.append(tree, [event.line for event in self.events()])
        self.commit(self.world.god.put_tree(tree))

    @property
    def tree(self) -> Tree:
        return self.world.god.tree(self.world.god.commit(self.world.tip).tree)

    def append(self, tree: Tree, lines: list[bytes]) -> None:
        listing = LogFiles(self.world.god).listing(tree)
        entry = listing.open
        data = b"" if entry is None or entry.is_tree else self.world.god.blob(entry.oid)
        tree[listing.open_path] = TreeEntry(self.world.god.put_blob(data + b"".join(line + b"\n" for line in lines)))

    def plain(self) -> reference_fold.Ledger:
        verifier = self.world.signers.verifier
        return reference_fold.read(
            self.world.god, self.world.tip, lambda line: verifier.rejects(parse(line), self.world.fleet_id) is None
        )


def test_every_odd_tree_is_read_as_the_product_reads_it() -> None:
    ways, lines = set[str](), 0
    for seed in range(SEEDS):
        ledger = Ledger(seed)
        for _ in range(COMMITS):
            ledger.extend() if ledger.rng.random() < 0.5 else ledger.rearrange()
            assert ledger.plain().digest == ledger.branch.fleet.digest, f"seed {seed} after {ledger.ways}"
        ways |= ledger.ways
        lines += ledger.branch.fleet.position
    assert ways == set(ledger.odd.ways)
    assert lines > SEEDS * COMMITS


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"x" * limits.LOG_FILE_BYTES_MAX, id="too large"),
        pytest.param(b"\n" * limits.LOG_FILE_LINES_MAX, id="too many lines"),
    ],
)
def test_a_file_larger_than_any_log_file_holds_no_lines(rest: bytes) -> None:
    """Seed 54359: a hostile member's lines stood in one that had grown over the limit."""
    ledger = Ledger(1)
    tree, line = ledger.tree, ledger.events()[0].line
    before = ledger.branch.fleet.position
    ledger.append(tree, [line, rest])
    ledger.commit(ledger.world.god.put_tree(tree))
    assert ledger.branch.fleet.position == len(ledger.plain().lines) == before
    tree[open_path(0)] = TreeEntry(ledger.world.god.put_blob(line + b"\n"))
    ledger.commit(ledger.world.god.put_tree(tree))
    assert ledger.branch.fleet.position == len(ledger.plain().lines) == before + 1
