"""Checkpoints: a newcomer begins with one that is of the very lines beside it, and with no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, seal
from gitcoord.core.format.keys import Verifier
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import open_path
from gitcoord.core.ports import TreeEntry
from gitcoord.core.round.replica import Replica, advance_to
from gitcoord.features import FEATURES
from tests.core.driver import FLEET, World, replica_of
from tests.core.ledger.test_branch import commit_of, history
from tests.core.lines import signer_of


def empty(world: World) -> LedgerBranch:
    return LedgerBranch(world.god, FleetState(FEATURES, Verifier()))


def newcomer(world: World) -> Replica:
    world.god.fetch()
    replica = replica_of(world.god, world, lambda: 0.0)
    advance_to(replica, world.tip or "")
    return replica


def a_ledger(*, events: int = 120, at: int = 80) -> tuple[World, LedgerBranch, dict[str, Any]]:
    """A ledger of so many events, with a checkpoint of an earlier position, and that one's value."""
    world, branch, said = history(events)
    election = seal(
        Draft(
            "founder",
            "leader_election",
            "",
            world.wall(),
            world.uid(),
            term=1,
            data={"session": "s", "after": branch.fleet.digest},
        ),
        node="n-1",
        after=None,
        signer=signer_of("founder"),
        fleet=FLEET,
    )
    branch.apply_commit(commit_of(world, branch, [election.line]))
    for event in said[:at]:
        branch.apply_commit(commit_of(world, branch, [event.line]))
    data = signed(checkpoint.write(branch), branch.fleet.position)
    for event in said[at:]:
        tree = branch.write(branch.extend([event.line]), {checkpoint.PATH: data})
        commit = world.god.put_commit(tree=tree, parents=[branch.tip or ""], message=world.uid(), author="a", time_s=0)
        branch.apply_commit(commit)
    world.server.objects |= world.god.objects
    world.server.refs["refs/heads/gitcoord/ledger"] = branch.tip or ""
    value: dict[str, Any] = json.loads(data)
    return world, branch, value


def signed(data: bytes, position: int, *, agent: str = "founder", signer: str = "founder", term: int = 1) -> bytes:
    return checkpoint.sign(data, agent=agent, term=term, position=position, signer=signer_of(signer), fleet_id=FLEET)


def test_the_position_is_read_from_the_beginning_alone() -> None:
    _, branch, value = a_ledger()
    data = checkpoint.write(branch)
    assert checkpoint.position_of(data) == branch.fleet.position
    assert checkpoint.position_of(signed(data[:300], 1)) == branch.fleet.position
    assert checkpoint.position_of(b"{}") is None


def written(value: Any, position: int) -> bytes:
    """What somebody who holds the leader's key may write."""
    unsigned = {name: part for name, part in value.items() if name != "signed"}
    return signed(json.dumps(unsigned, separators=(",", ":"), ensure_ascii=False).encode() + b"\n", position)


def _entry(world: World, data: bytes) -> TreeEntry:
    return TreeEntry(world.god.put_blob(data))


def put(world: World, data: bytes) -> str:
    """Put a checkpoint of these bytes there, as a person could."""
    return world.put_tree(world.root() | {checkpoint.PATH: _entry(world, data)})


@pytest.mark.parametrize("at", [1, 31, 32, 33, 34, 80, 119, 120])
def test_a_newcomer_begins_with_the_checkpoint_and_has_the_state_and_the_log_of_a_replay(at: int) -> None:
    world, branch, value = a_ledger(at=at) if at < 120 else a_ledger(at=119)
    found = newcomer(world).branch
    assert found.checkpoint_position == value["position"] > 0
    assert found.fleet.dump() == branch.fleet.dump() and found.log == branch.log and not found.bad
    read = found.line_at()
    assert [read(position) for position in range(1, found.fleet.position + 1)] == world.lines()


def test_the_lines_before_a_checkpoint_are_not_folded_by_a_newcomer(monkeypatch: pytest.MonkeyPatch) -> None:
    world, branch, value = a_ledger()
    folded = []
    append = FleetState.append
    monkeypatch.setattr(FleetState, "append", lambda fleet, line: folded.append(line) or append(fleet, line))
    newcomer(world)
    assert len(folded) == branch.fleet.position - value["position"] == 40


def _with_first(log: dict[str, Any], more: int) -> dict[str, Any]:
    return log | {"counts": [log["counts"][0] + more, *log["counts"][1:]]}


SPOILT = {
    "no_json": lambda value: b"nonsense",
    "nothing": lambda value: b"",
    "no_object": lambda value: b"[1]",
    "deep": lambda value: b"[" * 100_000,
    "bad_utf8": lambda value: b'{"schema":"\xff"}',
    "too_large": lambda value: b" " * (limits.CHECKPOINT_BYTES_MAX + 1),
    "of_other_files": lambda value: value | {"log": value["log"] | {"files": "A" * 43}},
    "no_log": lambda value: {name: part for name, part in value.items() if name != "log"},
    "odd_counts": lambda value: value | {"log": value["log"] | {"counts": "many"}},
    "fewer_files": lambda value: value | {"log": value["log"] | {"counts": value["log"]["counts"][:-1]}},
    "more_files": lambda value: value | {"log": value["log"] | {"counts": [*value["log"]["counts"], *[1] * 500]}},
    "fewer_lines": lambda value: value | {"log": _with_first(value["log"], -1)},
    "more_lines": lambda value: value | {"log": _with_first(value["log"], 1)},
    "no_lines": lambda value: value | {"log": _with_first(value["log"], -(10**6))},
    "later": lambda value: value | {"position": 5000, "void": list(range(1, 4920))},
    "far_later": lambda value: value | {"position": 10**15},
    "earlier": lambda value: value | {"position": value["position"] - 1, "uids": value["uids"][:-16]},
    "below_nothing": lambda value: value | {"position": -3, "uids": ""},
    "no_position": lambda value: value | {"position": None},
    "no_members": lambda value: {name: part for name, part in value.items() if name != "members"},
    "odd_members": lambda value: value | {"members": {"founded": None, "admission": "open", "members": [[1, 2, 3, 4]]}},
    "odd_terms": lambda value: value | {"terms": value["terms"] | {"highest": "many"}},
    "odd_chains": lambda value: value | {"chains": {"n-1": ["one", 2]}},
    "odd_features": lambda value: value | {"features": {name: "odd" for name in value["features"]}},
    "odd_ids": lambda value: value | {"uids": 7},
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_wrong_checkpoint_is_told_and_everything_is_folded(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES_MAX", 1024 * 1024)
    world, branch, value = a_ledger()
    spoilt = SPOILT[how](value)
    put(world, spoilt if isinstance(spoilt, bytes) else written(spoilt, value["position"]))
    found = newcomer(world).branch
    assert not found.checkpoint_position and found.fleet.dump() == branch.fleet.dump() and not found.damaged
    assert [(bad.file, bad.commit) for bad in found.bad] == [(checkpoint.PATH, world.tip)]


def test_a_checkpoint_of_another_version_is_left_alone() -> None:
    world, branch, value = a_ledger()
    put(world, written(value | {"schema": "gitcoord.state/999"}, value["position"]))
    found = newcomer(world).branch
    assert not found.checkpoint_position and not found.bad and found.fleet.dump() == branch.fleet.dump()


def test_everybody_who_follows_compares_each_checkpoint_with_their_own_fold() -> None:
    world, branch, value = a_ledger()
    follower = newcomer(world)
    put(world, signed(checkpoint.write(branch), branch.fleet.position))
    advance_to(follower, world.tip or "")
    assert not follower.branch.bad
    lie = json.loads(checkpoint.write(branch))
    lie["members"]["members"][0][7] = "somebodys-login"
    commit = put(world, written(lie, branch.fleet.position))
    advance_to(follower, commit)
    [bad] = follower.branch.bad
    assert (bad.file, bad.commit) == (checkpoint.PATH, commit) and "differs from the fold" in bad.reason
    assert newcomer(world).branch.checkpoint_position, "what only a fold can tell, one who does not fold believes"
    put(world, world.god.blob(world.root()[checkpoint.PATH].oid))
    advance_to(follower, world.tip or "")
    assert len(follower.branch.bad) == 1, "told once"


def test_damage_in_the_log_beside_a_checkpoint_is_found_by_a_newcomer_too() -> None:
    world, branch, value = a_ledger()
    root = world.root()
    lines = [line.replace(b"xxx", b"yyy") for line in branch.log.open]
    world.put_tree(root | {open_path(len(branch.log.segments)): _entry(world, b"\n".join(lines) + b"\n")})
    found = newcomer(world).branch
    assert found.damaged and found.fully_walked and not found.checkpoint_position
    assert found.fleet.dump() == branch.fleet.dump()


def test_a_lie_about_the_numbers_of_lines_is_met_by_who_reads_them_and_found_by_who_follows() -> None:
    world, branch, value = a_ledger()
    follower = newcomer(world)
    lie = json.loads(checkpoint.write(branch))
    first, second, *others = lie["log"]["counts"]
    lie["log"]["counts"] = [first + 1, second - 1, *others]
    put(world, written(lie, branch.fleet.position))
    advance_to(follower, world.tip or "")
    assert "differs from the fold" in follower.branch.bad[0].reason
    found = newcomer(world).branch
    assert found.checkpoint_position and found.fleet.dump() == branch.fleet.dump()
    with pytest.raises(Corrupt, match="run `gitcoord verify`"):
        found.line_at()(1)
