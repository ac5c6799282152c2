"""A hostile member on a real remote: `hostile_member.py CLONE FOLDER SEED`, a process of its own.

It has the good key of a plain member of an open fleet and the right to push. It does what the simulator's hostile
member does (`gitcoord/simulation/hostile.py`), by real git, and more that only a real remote can show: it deletes
outboxes and puts refs where they would be, lays outboxes that unpack large, sets the ledger back, cuts, forks and
deletes it. It notes in FOLDER what it does, and its commits, before it pushes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gitcoord.core import names
from gitcoord.core.errors import GitcoordError
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import Oid, TreeEntry
from gitcoord.core.round.replica import advance_to
from gitcoord.node.clock import utc_now
from gitcoord.node.node import Node, open_node
from gitcoord.simulation.hostile.access import NAME
from gitcoord.simulation.hostile.member import Hostile
from gitcoord.simulation.world import LEDGER, OUTBOXES

DONE = "hostile.jsonl"  # in FOLDER: a line for each thing that it did
PACE_S = (0.1, 0.8)  # between two acts: with the act itself, a push every second or two
FORCES = 0.15  # of its pushes that go on from a tip of the ledger, how many take no heed of a newer one
BACK_COMMITS = 20  # that it takes away from the ledger at most, at a time
LARGE_EVERY_S = 60.0  # two processors unpack it, for everybody who fetches
LARGE_BLOB_BYTES, LARGE_PERIOD_BYTES = 5_000_000, 30_000  # what repeats within 32 KiB packs to a hundredth
LARGE_BLOBS = (4, 12, 40)  # 20, 60 and 200 MB
GIT_S = 60.0
AWAY = 128  # git's exit code where the remote cannot be reached
UIDS_KNOWN = 8  # of honest events, to name in its own

Act = Callable[[], None]


class Refs(dict[str, Oid]):
    """The remote's refs as they were seen last; what is set or taken away is pushed after the act."""

    def changes(self, before: dict[str, Oid]) -> dict[str, Oid | None]:
        gone: dict[str, Oid | None] = {ref: None for ref in before if ref not in self}
        return gone | {ref: oid for ref, oid in self.items() if before.get(ref) != oid}


class Ground:
    """The real fleet, under the names by which the simulator's hostile member knows its world."""

    def __init__(self, node: Node, folder: Path, seed: int) -> None:
        self.node, self.god, self.folder, self.seed = node, node.store, folder, seed
        self.replica = node.replica
        self.fleet_id = node.config.fleet_id
        self.signers = SimpleNamespace(of=node.keyring.signer)
        self.refs = Refs()
        self.server = SimpleNamespace(refs=self.refs)
        self.seen: dict[str, Oid] = {}
        self.forged: set[bytes] = set()
        self.said: list[str] = []
        self.entropy = self.dice("ids")

    def dice(self, what: str) -> random.Random:
        return random.Random(f"{self.seed} {what}")

    def look(self) -> None:
        """See what lies on the remote. Raises GitcoordError where that cannot be."""
        fetched = self.god.fetch()
        self.seen = {ref: oid for ref, oid in fetched.refs.items() if ref not in fetched.left} | fetched.strays
        self.refs.clear()
        self.refs.update(self.seen)

    def fold(self) -> None:
        """Fold the ledger that was seen. Raises Corrupt where it is no ledger of this fleet."""
        advance_to(self.replica, self.tip)

    @property
    def tip(self) -> Oid:
        return self.refs.get(LEDGER) or self.seen[LEDGER]

    @property
    def machines(self) -> list[Any]:
        """The honest nodes, as far as one who reads the ledger can tell."""
        found, fleet = [], self.replica.branch.fleet
        for ref in sorted(self.seen):
            node = ref.removeprefix(OUTBOXES)
            if ref.startswith(OUTBOXES) and node in fleet.heads and names.node_tag(node):
                found.append(
                    SimpleNamespace(
                        agent=self.agent_of(node), disk=SimpleNamespace(node=node, tip=self.tip), replica=self.replica
                    )
                )
        ghost = SimpleNamespace(node="ghost", tip=self.tip)
        return found or [SimpleNamespace(agent="ghost", disk=ghost, replica=self.replica)]

    def agent_of(self, node: str) -> str:
        others = [member.id for member in self.replica.branch.fleet.members.by_id.values() if member.id != NAME]
        return others[sum(node.encode()) % len(others)] if others else "ghost"

    @property
    def attempted(self) -> dict[str, str]:
        return dict.fromkeys([*self.replica.branch.fleet.positions][-UIDS_KNOWN:], "")

    def wall(self) -> str:
        return utc_now()

    @property
    def now_s(self) -> float:
        return time.time()

    def uid(self, _: str) -> str:
        return names.uid_from(self.entropy.randbytes(10))

    def say(self, _: str, what: str) -> None:
        self.said.append(what)

    def note(self, **fields: Any) -> None:
        with (self.folder / DONE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")

    # The way to the remote

    def push(self, *, ledger_by_force: bool) -> bool:
        """Push what the act changed, whatever others did meanwhile; of the ledger only `ledger_by_force`.

        Return whether the remote was there.
        """
        changes = {ref: oid for ref, oid in self.refs.changes(self.seen).items() if is_ref(ref)}
        if not changes:
            return True
        leases = [] if ledger_by_force else [f"--force-with-lease={LEDGER}:{self.seen.get(LEDGER, '')}"]
        specs = [
            f"{'' if ref == LEDGER and not ledger_by_force else '+'}{oid or ''}:{ref}" for ref, oid in changes.items()
        ]
        command = ["git", "push", "--quiet", "--no-verify", *leases, "--", self.node.config.remote, *specs]
        done = subprocess.run(
            command, env=os.environ | {"GIT_DIR": str(self.god.path)}, capture_output=True, timeout=GIT_S, check=False
        )
        self.note(pushed=list(changes), status=done.returncode, said=done.stderr.decode("utf-8", "replace")[-300:])
        return done.returncode != AWAY


def is_ref(name: str) -> bool:
    """Whether git lets a ref have this name."""
    return not subprocess.run(["git", "check-ref-format", name], check=False).returncode


class RealHostile(Hostile):
    """The simulator's hostile member, with what else it can do to a real remote."""

    def __init__(self, ground: Ground) -> None:
        remote = SimpleNamespace(signs={}, witness=SimpleNamespace(extended=lambda *_: None))
        super().__init__(ground, remote)  # type: ignore[arg-type]
        self.ground = ground
        self.large_at_s = 0.0
        self.next_acts: list[str] = []  # each kind comes once before any comes again
        self.replaces = True
        self.acts |= {
            "takes outboxes away": self._take_away,
            "lays a large outbox": self._lay_large,
            "tampers with the ledger": self._tamper,
        }

    def step(self) -> None:
        """Look, do one thing, push it."""
        ground, rng = self.ground, self.rng
        ground.said.clear()
        ground.look()
        if LEDGER not in ground.seen:
            return
        ground.fold()  # it waits, like all others, while what it laid there is no ledger of this fleet
        self.old_boxes += [oid for ref, oid in sorted(ground.refs.items()) if ref != LEDGER]
        del self.old_boxes[:-50]
        if not ground.replica.branch.fleet.members.get(NAME):
            self._next(NAME, "agent_joined", "I am harmless", timestamp=ground.wall())
        self.next_acts = self.next_acts or rng.sample(sorted(self.acts), len(self.acts))
        name = self.next_acts.pop()
        self.acts[name]()
        self._offer()
        made = [oid for ref, oid in ground.refs.items() if ground.seen.get(ref) != oid]
        ground.note(act=name, said=ground.said, lines=self.lines, commits=made)  # BEFORE anybody can see them
        forces = name in ("tampers with the ledger", "replaces the ledger") or rng.random() < FORCES
        if not ground.push(ledger_by_force=forces):
            self.next_acts.insert(0, name)

    def _take_away(self) -> None:
        """Delete outboxes, and put refs below their names, so that they cannot be made again."""
        refs = self.ground.refs
        for ref, _ in self._boxes():
            if self.rng.random() < 0.5:
                del refs[ref]
                if self.rng.random() < 0.5:
                    refs[f"{ref}/below"] = self._box(ref, [b"rubbish"])

    def _lay_large(self) -> None:
        """Lay an outbox that packs to two megabytes and unpacks to 200: in its own place, a new one, or another's."""
        if self.ground.now_s < self.large_at_s + LARGE_EVERY_S:
            return
        self.large_at_s, god = self.ground.now_s, self.world.god
        files = {}
        for number in range(self.rng.choice(LARGE_BLOBS)):
            period = self.rng.randbytes(LARGE_PERIOD_BYTES)
            files[f"{number:08d}.log"] = TreeEntry(god.put_blob(period * (LARGE_BLOB_BYTES // LARGE_PERIOD_BYTES)))
        root = {outbox.QUEUE: TreeEntry(god.put_tree(files), is_tree=True)}
        oid = god.put_commit(
            tree=god.put_tree(root),
            parents=[],
            message=f"large {self.world.uid('')}",
            author=NAME,
            time_s=int(self.world.now_s),
        )
        ref = self.rng.choice([OUTBOXES + "mallory-large", *(ref for ref, _ in self._boxes())])
        self.ground.refs[ref] = oid
        self.world.say("", f"{len(files) * LARGE_BLOB_BYTES // 10**6} MB at {ref}")

    def _tamper(self) -> None:
        """Set the ledger back, cut it off from its past, fork it, turn it round, or delete it."""
        refs, god, rng = self.ground.refs, self.world.god, self.rng
        tip, way = self.world.tip, rng.choice(["back", "cut", "fork", "turn", "delete", "lie", "empty"])
        older = rng.choice([tip, *god.first_parents(tip, stop=None, limit=BACK_COMMITS)])
        tree = god.commit(tip).tree
        self.world.say("", f"the ledger: {way}")
        if way == "delete":
            del refs[LEDGER]
        elif way == "back":
            refs[LEDGER] = older
        elif way == "fork":
            refs[LEDGER] = older
            self._sequence([event.line for event in self._pending()[:5]])
        elif way == "empty":
            refs[LEDGER] = self._lying(god.put_tree({}), rng.choice([tip, older]))
        else:
            parents = {"cut": [], "turn": [older, tip], "lie": [tip]}[way]
            refs[LEDGER] = self._lying(tree, *parents)

    def _lying(self, tree: Oid, *parents: Oid) -> Oid:
        message = f"Position: {10**9}\nTerm: {2**53}\nSequenced-by: {NAME}\nNonce: {self.world.uid('')}\n"
        return self.world.god.put_commit(
            tree=tree, parents=parents, message=f"lies\n\n{message}", author=NAME, time_s=int(self.world.now_s)
        )


def done_by(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the hostile member noted."""
    path = folder / DONE
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
        if line.endswith("\n"):  # or it is being written
            yield json.loads(line)


def main(clone: str, folder: str, seed: str) -> None:
    with open_node(Path(clone)) as node:
        ground = Ground(node, Path(folder), int(seed))
        hostile = RealHostile(ground)
        ground.note(key=hostile.signer.key)
        asked: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        while not asked:
            try:
                hostile.step()
            except (GitcoordError, subprocess.TimeoutExpired) as wrong:  # the remote's weather is everybody's
                ground.note(failed=str(wrong)[:300])
            time.sleep(hostile.rng.uniform(*PACE_S))


if __name__ == "__main__":
    main(*sys.argv[1:])
