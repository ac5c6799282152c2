"""The ledger branch: what a reader trusts of it, whoever wrote there, and how it is mended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Event, Head, hash_of, parse, seal
from gitcoord.core.format.keys import Verifier
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import lines_of, open_path, segment_path
from gitcoord.core.ports import TreeEntry
from gitcoord.core.round.ledger_sync import TOLD_AT_ONCE
from gitcoord.core.round.replica import advance_to
from gitcoord.features import FEATURES
from tests.core.driver import FLEET, Machine, World, replica_of, signer_of


def a_fleet() -> tuple[World, Machine, Machine]:
    """A leader, a witness who was there all the time, and some history."""
    world = World()
    leader = world.machine("chief", runs=True)
    witness = world.machine("witness")
    world.settle(4)
    for number in range(3):
        leader.say(f"from leader {number}")
        witness.say(f"from witness {number}")
        world.settle(1)
    assert leader.leads
    return world, leader, witness


def event_of(
    actor: str,
    content: str,
    *,
    after: Head = Head(),
    node: str = "mallory-1",
    key: str | None = None,
    fleet: str = FLEET,
) -> bytes:
    draft = Draft(actor, "note", content, "2026-11-21T00:00:00Z", "m" * 16)
    return seal(draft, node=node, after=after, signer=signer_of(key or actor), fleet=fleet).line


Tamper = Callable[[World, list[bytes], Machine], list[bytes]]


def next_of(machine: Machine) -> Head:
    return machine.fleet.heads[machine.disk.node]


TAMPERINGS: dict[str, Tamper] = {
    "malformed": lambda world, lines, one: [*lines, b"not json"],
    "bad_utf8": lambda world, lines, one: [*lines, b'{"actor":"\xff\xfe"}'],
    "empty_line": lambda world, lines, one: [*lines[:2], b"", *lines[2:]],
    "oversized": lambda world, lines, one: [*lines, b"x" * (limits.EVENT_BYTES_MAX + 1)],
    "deep": lambda world, lines, one: [*lines, b"[" * 60_000],
    "nul": lambda world, lines, one: [*lines, b"\0\0\0"],
    "wrong_signature": lambda world, lines, one: [
        *lines,
        event_of("witness", "x", node=one.disk.node, after=next_of(one)).replace(b'"x"', b'"y"'),
    ],
    "other_fleet": lambda world, lines, one: [
        *lines,
        event_of("witness", "x", node=one.disk.node, after=next_of(one), fleet="otherfleet"),
    ],
    "replayed": lambda world, lines, one: [*lines, lines[4]],
    "replayed_control": lambda world, lines, one: [
        *lines,
        next(line for line in lines if b'"leader_election"' in line),
    ],
    "twice": lambda world, lines, one: [*lines[:3], lines[2], *lines[3:]],
    "refounded": lambda world, lines, one: [*lines, lines[0]],
    "gap": lambda world, lines, one: [
        *lines,
        event_of("witness", "x", node=one.disk.node, after=Head(next_of(one).seq + 1, next_of(one).hash)),
    ],
    "forked_chain": lambda world, lines, one: [
        *lines,
        event_of("witness", "x", node=one.disk.node, after=Head(next_of(one).seq, hash_of(b"elsewhere"))),
    ],
    "reordered": lambda world, lines, one: [*lines[:-2], lines[-1], lines[-2]],
    "reversed": lambda world, lines, one: lines[::-1],
    "removed": lambda world, lines, one: lines[:3] + lines[4:],
    "removed_last": lambda world, lines, one: lines[:-1],
    "cut_in_half": lambda world, lines, one: lines[: len(lines) // 2],
    "removed_all": lambda world, lines, one: [],
    "altered": lambda world, lines, one: [line.replace(b"from witness 1", b"from witness 7") for line in lines],
    "inserted": lambda world, lines, one: [*lines[:3], b"{}", *lines[3:]],
}


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_what_somebody_put_there_by_hand_takes_no_position_and_drops_no_good_line(kind: str) -> None:
    world, leader, witness = a_fleet()
    before, good = witness.fleet.dump(), world.lines()
    commit = world.put_by_hand(TAMPERINGS[kind](world, good, witness))
    witness.round()
    assert witness.fleet.dump() == before
    assert witness.replica.branch.damaged
    assert world.newcomer().dump() == before, "also for one who reads only now, while it lies there"
    found = witness.replica.branch.bad
    assert found and all(bad.commit == commit and bad.file == open_path(0) and bad.number > 0 for bad in found)
    told = witness.heard("bad_line")
    assert [f"{bad.where}: {bad.reason}" for bad in found[:TOLD_AT_ONCE]] == told[:TOLD_AT_ONCE]
    more = [f"and {len(found) - TOLD_AT_ONCE} more bad lines"] if len(found) > TOLD_AT_ONCE else []
    assert [text.split(" on the")[0] for text in told[TOLD_AT_ONCE:]] == more
    world.settle(3)
    assert world.lines()[: len(good)] == good, "the next ledger commit wrote the log as it was trusted"
    assert not witness.replica.branch.damaged
    errors = [event for event in world.events() if event.type == "error"]
    assert {event.actor for event in errors} == {"chief"}
    assert len(errors) == 1, "however many lines of a commit are bad, it makes the leader write one event"
    assert errors[0].content.startswith(f"{found[0].where}: {found[0].reason}")
    assert len(found) == 1 or f"; {len(found) - 1} more bad lines in this commit" in errors[0].content
    world.check()
    assert witness.fleet.dump() == leader.fleet.dump() == world.newcomer().dump()
    world.settle(3)
    assert len([event for event in world.events() if event.type == "error"]) == len(errors), "recorded once"


def test_an_event_under_a_key_that_is_not_its_actor_s_keeps_a_position_and_has_no_effect() -> None:
    world, leader, witness = a_fleet()
    line = event_of("witness", "not me", key="mallory")
    world.put_by_hand([*world.lines(), line])
    witness.say("the real one")
    world.settle(3)
    assert not witness.replica.branch.bad and line in world.lines()
    assert "signed by a key that is not witness's" in witness.fleet.states["health"].void[0].text
    assert witness.fleet.dump() == leader.fleet.dump() == world.newcomer().dump()


def test_a_good_line_beside_bad_ones_is_taken() -> None:
    world, leader, witness = a_fleet()
    event = witness.say("good")
    lines = world.lines()
    world.put_by_hand([*lines[:2], b"bad one", *lines[2:], b"bad two", event.line, b"bad three"])
    world.settle(3)
    assert event.uid in leader.fleet.positions
    assert leader.fleet.positions[event.uid] == len(lines) + 1
    world.check()
    assert leader.fleet.dump() == world.newcomer().dump()


def test_bad_lines_in_commit_after_commit_are_named_once_while_they_lie_there() -> None:
    world, leader, witness = a_fleet()
    lines = world.lines()
    world.put_by_hand([*lines, b"bad"])
    world.put_by_hand([*lines, b"bad"])
    world.put_by_hand([*lines, b"bad", b"worse"])
    witness.round()
    assert [bad.line for bad in witness.replica.branch.bad] == [b"bad", b"worse"]


def test_a_flood_of_bad_lines_does_not_become_a_flood_of_events() -> None:
    world, leader, witness = a_fleet()
    world.put_by_hand([*world.lines(), *(b"bad %d" % number for number in range(5000))])
    leader.round()
    assert len([event for event in world.events() if event.type == "error"]) <= 50
    assert len(leader.replica.branch.bad) <= limits.BAD_LINES_MAX


def test_a_swap_that_is_well_formed_does_not_deceive_a_newcomer() -> None:
    world, leader, witness = a_fleet()
    before, lines = witness.fleet.dump(), world.lines()
    world.put_by_hand([*lines[:-2], lines[-1], lines[-2]])
    assert world.newcomer().dump() == before


def test_an_old_swap_that_is_well_formed_deceives_a_newcomer_only_until_it_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LOOK_BACK_COMMITS", 1)
    world, leader, witness = a_fleet()
    lines = world.lines()
    assert parse(lines[-1]).node != parse(lines[-2]).node
    swapped = [*lines[:-2], lines[-1], lines[-2]]
    world.put_by_hand(swapped)
    newcomer = world.machine("newcomer")
    newcomer.round()  # reads the tip only, believes it, and even writes on top
    world.settle(4)
    world.check()
    assert world.lines()[: len(lines)] == lines
    assert newcomer.fleet.dump() == leader.fleet.dump() == witness.fleet.dump() == world.newcomer().dump()


def test_garbage_beside_the_log_is_no_harm() -> None:
    world, leader, witness = a_fleet()
    blob = world.god.put_blob(b"#!/bin/sh\n")
    tree = world.god.put_tree({"x": TreeEntry(blob), "y.log": TreeEntry(blob)})
    root = world.root() | {
        "garbage.bin": TreeEntry(world.god.put_blob(bytes(range(256)))),
        "-rf": TreeEntry(blob),
        "a\nb": TreeEntry(blob),
        "archive": TreeEntry(blob),
        "README.md": TreeEntry(tree, is_tree=True),
        "deep": TreeEntry(tree, is_tree=True),
        "\udcff": TreeEntry(blob),
    }
    world.put_tree(root)
    before = witness.fleet.position
    witness.say("still here")
    world.settle(3)
    assert not witness.replica.branch.damaged and witness.fleet.position > before
    world.check()


@pytest.mark.parametrize(
    "wrong",
    [
        "log_missing",
        "log_is_tree",
        "log_is_missing_object",
        "events_is_file",
        "events_empty",
        "bogus_segment",
        "segment_is_tree",
        "segment_missing_object",
        "sealed_tree_is_a_blob",
        "folder_is_a_blob",
        "huge_log",
    ],
)
def test_trees_of_the_wrong_shape_are_survived_and_mended(wrong: str) -> None:
    world, leader, witness = a_fleet()
    before, good = witness.fleet.dump(), world.lines()
    god = world.god
    blob, odd = god.put_blob(b"nonsense\n"), god.put_blob(b"not a tree at all")
    huge = god.put_blob(b"\n" * (limits.LOG_FILE_BYTES_MAX + 1))
    empty = god.put_tree({})

    def sealed(name: str, entry: TreeEntry) -> TreeEntry:
        return TreeEntry(god.put_tree({"0000000": TreeEntry(god.put_tree({name: entry}), True)}), True)

    root = world.root()
    if wrong == "log_missing":
        del root[open_path(0)]
    root |= {
        "log_is_tree": {open_path(0): TreeEntry(empty, True)},
        "events_is_file": {"events": TreeEntry(blob)},
        "events_empty": {"events": TreeEntry(empty, True)},
        "bogus_segment": {"events": sealed(open_path(0), TreeEntry(blob))},
        "segment_is_tree": {"events": sealed(open_path(0), TreeEntry(empty, True))},
        "folder_is_a_blob": {"events": TreeEntry(god.put_tree({"0000000": TreeEntry(blob)}), True)},
        "huge_log": {open_path(0): TreeEntry(huge)},
    }.get(wrong, {})
    if wrong in ("log_is_missing_object", "segment_missing_object", "sealed_tree_is_a_blob"):
        # Objects that no fetch could bring: the reader meets them in its own store only.
        lacking = "1" * 40
        root |= {
            "log_is_missing_object": {open_path(0): TreeEntry(lacking)},
            "segment_missing_object": {"events": sealed(open_path(0), TreeEntry(lacking))},
            "sealed_tree_is_a_blob": {"events": TreeEntry(odd, True)},
        }[wrong]
        store = witness.store
        store.objects |= god.objects
        commit = god.put_commit(tree=god.put_tree(root), parents=[world.tip or ""], message="", author="m", time_s=0)
        store.objects |= god.objects
        witness.replica.branch.apply_commit(commit)
        assert witness.fleet.dump() == before
        return
    world.put_tree(root)
    witness.round()
    assert witness.fleet.dump() == before
    world.settle(4)
    assert world.lines()[: len(good)] == good
    assert not witness.replica.branch.damaged and not leader.replica.branch.damaged
    assert witness.fleet.dump() == leader.fleet.dump() == world.newcomer().dump()
    commits = world.tip
    world.settle(4)
    assert world.tip == commits, "mending ends"


def test_a_merge_commit_as_tip_counts_by_its_first_parent() -> None:
    world, leader, witness = a_fleet()
    tip, root, good = world.tip, world.root(), world.lines()
    assert tip
    aside = world.put_by_hand([b"aside"], parents=[])
    world.put_tree(root, parents=[tip, aside])
    witness.say("on top of a merge")
    world.settle(3)
    assert world.lines()[: len(good)] == good and not witness.heard("fork")
    world.check()


def test_a_merge_that_has_the_ledger_at_its_side_only_is_a_fork_for_everyone() -> None:
    world, leader, witness = a_fleet()
    tip, good = world.tip, world.lines()
    assert tip
    aside = world.put_by_hand(good[:2], parents=[])
    world.put_by_hand(good[:2], parents=[aside, tip])
    world.settle(6)
    assert witness.heard("fork") and leader.heard("fork")
    world.check()
    assert witness.fleet.dump() == leader.fleet.dump() == world.newcomer().dump()


# Segments


def history(count: int, *, content: str = "x" * 40) -> tuple[World, LedgerBranch, list[Event]]:
    world = World()
    branch = LedgerBranch(world.god, FleetState(FEATURES, Verifier()))
    world.god.fetch()
    assert world.tip
    branch.apply_commit(world.tip)
    head, events = Head(), []
    signer = signer_of("founder")
    for number in range(count):
        draft = Draft("founder", "note", f"{content}{number}", world.wall(), world.uid())
        events.append(seal(draft, node="n-1", after=head, signer=signer, fleet=FLEET))
        head = events[-1].head
    return world, branch, events


def commit_of(world: World, branch: LedgerBranch, lines: list[bytes]) -> str:
    tree = branch.write(branch.extend(lines), {})
    parents = [branch.tip] if branch.tip else []
    commit = world.god.put_commit(tree=tree, parents=parents, message=world.uid(), author="a", time_s=0)
    world.server.objects |= world.god.objects
    world.server.refs["refs/heads/gitcoord/ledger"] = commit
    return commit


def test_a_full_log_file_is_sealed_as_it_is_and_never_changes() -> None:
    world, branch, events = history(300)
    sealed: list[str] = []
    for event in events:
        entry, before = world.root()[branch.log.open_path] if branch.tip else None, branch.log
        branch.apply_commit(commit_of(world, branch, [event.line]))
        assert list(branch.log.segments[: len(sealed)]) == sealed
        if len(branch.log.segments) > len(sealed):
            assert entry and branch.log.segments[-1] == entry.oid, "its object was there: nothing is stored twice"
            assert branch.log.open == (event.line,) and before.open_path not in world.root()
        sealed = list(branch.log.segments)
    assert len(sealed) > 5
    for oid in sealed:
        assert limits.SEGMENT_BYTES <= len(world.god.blob(oid)) < limits.SEGMENT_BYTES + limits.EVENT_BYTES_MAX
    assert world.lines() == [world.founding, *(event.line for event in events)]


def test_a_log_file_that_is_none_of_ours_is_told_and_goes() -> None:
    world, leader, witness = a_fleet()
    good = world.lines()
    world.put_tree(world.root() | {open_path(7): world.root()[open_path(0)]})
    world.settle(3)
    assert [bad.file for bad in witness.replica.branch.bad] == [open_path(7)]
    assert open_path(7) not in world.root() and world.lines()[: len(good)] == good


def test_segments_lie_64_to_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 300)
    world, branch, events = history(250)
    for event in events:
        branch.apply_commit(commit_of(world, branch, [event.line]))
    root = world.god.tree(world.root()["events"].oid)
    sizes = [len(world.god.tree(folder.oid)) for _, folder in sorted(root.items())]
    assert list(sorted(root)) == ["0000000", "0000001", "0000002", "0000003"] and sizes[:3] == [64, 64, 64]
    assert segment_path(199) == "events/0000003/events-0000003013.log"
    again = LedgerBranch(world.god, FleetState(FEATURES, Verifier()))
    again.apply_commit(world.tip or "")
    assert again.log == branch.log and again.fleet.dump() == branch.fleet.dump()


def test_one_batch_of_3000_events_is_cut_into_segments_that_a_page_can_show() -> None:
    world, branch, events = history(3000)
    branch.apply_commit(commit_of(world, branch, [event.line for event in events]))
    assert branch.fleet.position == 3001 and not branch.damaged
    assert all(len(world.god.blob(oid)) <= limits.SEGMENT_BYTES_MAX for oid in branch.log.segments)
    read = branch.line_at()
    assert [read(position) for position in range(1, 3002)] == world.lines()


def test_every_position_is_found_whatever_lies_sealed() -> None:
    world, branch, events = history(120)
    branch.apply_commit(commit_of(world, branch, []))
    for count in (1, 2, 30, 1, 1, 40, 5, 40):
        lines, events = [event.line for event in events[:count]], events[count:]
        branch.apply_commit(commit_of(world, branch, lines))
        read = branch.line_at()
        assert [read(position) for position in range(1, branch.fleet.position + 1)] == world.lines()
        assert sum(branch.log.counts) + len(branch.log.open) == branch.fleet.position


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_sealed_segment_that_was_altered_is_found_and_mended(which: str) -> None:
    world, branch, events = history(150)
    witness = world.machine("witness")
    for event in events:
        branch.apply_commit(commit_of(world, branch, [event.line]))
    world.settle(2)
    good, before = world.lines(), witness.fleet.dump()
    root = world.root()
    folder = world.god.tree(world.god.tree(root["events"].oid)["0000000"].oid)
    name = sorted(folder)[0 if which == "first" else -1]
    lines = lines_of(world.god.blob(folder[name].oid))
    lines[1] = lines[1].replace(b"xxx", b"yyy")
    folder[name] = TreeEntry(world.god.put_blob(b"\n".join(lines) + b"\n"))
    root["events"] = TreeEntry(world.god.put_tree({"0000000": TreeEntry(world.god.put_tree(folder), True)}), True)
    world.put_tree(root)
    witness.round()
    assert witness.fleet.dump() == before
    assert any(bad.file == f"events/0000000/{name}" and bad.number == 2 for bad in witness.replica.branch.bad)
    witness.say("mended")
    world.settle(2)
    assert world.lines()[:-1] == good
    assert witness.fleet.dump() == world.newcomer().dump()


def test_catching_up_by_the_tip_s_tree_equals_catching_up_commit_by_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    world, branch, events = history(1100)
    stale = replica_of(world.god, world, lambda: 0.0)
    advance_to(stale, world.tip or "")
    for event in events:
        branch.apply_commit(commit_of(world, branch, [event.line]))
    tip = world.tip or ""
    advance_to(stale, tip)
    assert not stale.branch.fully_walked, "a shortcut was taken"
    assert stale.branch.fleet.dump() == branch.fleet.dump() and stale.branch.log == branch.log
    commit = world.put_by_hand([b"bad"])
    advance_to(stale, commit)
    assert stale.branch.fully_walked and stale.branch.damaged
    assert stale.branch.fleet.dump() == branch.fleet.dump()


def test_a_ledger_of_another_form_is_refused_rather_than_taken_for_one_in_ruins() -> None:
    world, _, _ = a_fleet()
    log = TreeEntry(world.god.put_blob(b"".join(line + b"\n" for line in world.lines())))
    world.put_tree({"events.log": log}, parents=[])
    tip = world.put_tree({"events.log": log})
    with pytest.raises(Corrupt, match="use the version that wrote it"):
        world.newcomer(tip)


def test_a_fold_that_was_written_down_goes_on_where_it_stood() -> None:
    world, branch, events = history(160)
    saved = []
    for event in events:
        branch.apply_commit(commit_of(world, branch, [event.line]))
        saved.append((json.loads(json.dumps(branch.fleet.dump())), branch.log, branch.root, branch.tip or ""))
    for value, log, root, tip in saved[::13]:
        resumed = LedgerBranch(world.god, FleetState(FEATURES, Verifier()))
        resumed.resume(FleetState.load(value, FEATURES, Verifier()), log, root, tip)
        assert resumed.tip == tip and resumed.fleet.position == len(world.lines(tip))
        resumed.apply_commit(world.tip or "")
        assert resumed.fleet.dump() == branch.fleet.dump() and resumed.log == branch.log and not resumed.damaged
    value, log, root, tip = saved[-1]
    for wrong in ((), (*log.counts, 1), (log.counts[0] + 1, *log.counts[1:])):
        other = replace(log, counts=wrong)
        with pytest.raises(ValueError):
            LedgerBranch(world.god, FleetState(FEATURES)).resume(FleetState.load(value, FEATURES), other, root, tip)


def test_extend_changes_nothing_here() -> None:
    world, branch, events = history(50)
    before = replace(branch.log)
    branch.extend([event.line for event in events])
    assert branch.log == before and branch.fleet.position == 1
