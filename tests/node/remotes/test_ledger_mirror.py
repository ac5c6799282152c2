"""The ledger's mirror goes forward only, by itself, and leaves alone what is not the fleet's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from gitcoord.core.errors import Unreachable
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.ports import Oid, Pushed, Update
from gitcoord.node.remotes import ledger_mirror
from gitcoord.node.remotes.ledger_mirror import MirrorRecord, mirror, wait_s
from gitcoord.node.remotes.mirror_writer import interval_s
from gitcoord.store.memory import MemoryServer, MemoryStore

REF = "refs/heads/gitcoord/mirror"


@dataclass
class Forge:
    """A mirror's remote, and the objects of the clone that mirrors to it."""

    server: MemoryServer = field(default_factory=MemoryServer)
    record: MirrorRecord = MirrorRecord("origin")
    pushes: int = 0

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.server, ledger_ref="refs/heads/gitcoord/ledger", outbox_prefix="refs/gitcoord/n")

    def commit(self, parent: Oid | None, text: str) -> Oid:
        tree = self.store.put_tree({})
        return self.store.put_commit(tree=tree, parents=[parent] if parent else [], message=text, author="a", time_s=0)

    def look_up(self, ref: str) -> Oid | None:
        if not self.server.reachable:
            raise Unreachable("the forge is away")
        return self.server.refs.get(ref)

    def push(self, updates: Sequence[Update]) -> dict[str, Pushed]:
        self.pushes += 1
        return self.store.push(updates)

    def mirror(self, tip: Oid) -> Oid | None:
        self.record = mirror(self.store, self, REF, tip, self.record, now_s=1000.0)
        return self.server.refs.get(REF)


def test_the_mirror_is_made_and_goes_forward_without_force() -> None:
    forge = Forge()
    one = forge.commit(None, "one")
    three = forge.commit(forge.commit(one, "two"), "three")
    assert forge.mirror(one) == one
    assert forge.mirror(three) == three and forge.mirror(three) == three
    assert (forge.pushes, forge.record.tip, forge.record.problem) == (2, three, "")
    del forge.server.refs[REF]
    assert forge.mirror(three) == three


def test_a_mirror_that_another_clone_brought_further_is_not_set_back() -> None:
    forge = Forge()
    one = forge.commit(None, "one")
    two = forge.commit(one, "two")
    forge.mirror(two)
    assert forge.mirror(one) == two and forge.pushes == 1 and not forge.record.problem


def test_what_is_no_part_of_the_ledger_is_named_and_never_overwritten() -> None:
    forge = Forge()
    one = forge.commit(None, "one")
    two = forge.commit(one, "two")
    other = forge.server.refs[REF] = forge.commit(None, "another fleet's")
    assert forge.mirror(one) == other and "no part of this fleet's ledger" in forge.record.problem
    assert wait_s(forge.record, interval_s=1.0) == ledger_mirror.FOREIGN_S
    del forge.server.refs[REF]  # a person has removed it
    assert forge.mirror(one) == one and not forge.record.problem
    forge.server.refs[REF] = forked = forge.commit(one, "by hand")
    assert forge.mirror(two) == forked
    assert f"was replaced: it had {one[:12]}, and has {forked[:12]}" in forge.record.problem
    forge.server.refs[REF] = unknown = "1" * 40  # a commit that this clone has never seen
    assert forge.mirror(two) == unknown and forge.record.foreign == unknown


def test_a_forge_that_refuses_or_is_away_is_asked_less_and_less_often() -> None:
    forge = Forge()
    forge.server.deny = lambda update: "protected branch"
    tip = forge.commit(None, "one")
    assert forge.mirror(tip) is None and forge.record.problem == "protected branch"
    forge.mirror(tip)
    assert wait_s(forge.record, interval_s=20.0) == 80.0
    forge.server.reachable = False
    with pytest.raises(Unreachable):
        forge.mirror(tip)
    forge.server.reachable, forge.server.deny = True, lambda update: None
    assert forge.mirror(tip) == tip and wait_s(forge.record, interval_s=20.0) == 20.0


def test_the_mirror_takes_half_of_what_its_host_recommends() -> None:
    budget = PROFILES["github"].pushes_per_minute
    assert budget is not None and 60 / interval_s("github") == budget / 2
