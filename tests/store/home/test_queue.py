"""The queue: what was acknowledged is still there, whatever fails, whoever else writes, wherever it ends."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gitcoord.core.errors import Corrupt, Paused, Refused
from gitcoord.core.format.event import Event, Head, Signer, hash_of
from gitcoord.store import files
from gitcoord.store.home import queue, queue_file
from gitcoord.store.home.queue import Queue
from gitcoord.store.home.spool import SPOOLED_MAX, Spool
from tests.store.drafts import FLEET, Crash, FaultyOs, draft, signer

Change = Callable[[Queue], object]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Queue.create(tmp_path, node_id="laptop-3f9a")
    return tmp_path


def put(home: Path, *contents: str) -> list[Event]:
    return Queue(home).append([draft(content) for content in contents], signer=signer, fleet_id=FLEET)


def contents(home: Path) -> list[str]:
    return [event.content for event in Queue(home).pending()]


def assert_chained(events: list[Event], base: Head = Head()) -> None:
    for event in events:
        assert (event.seq, event.prev) == (base.seq + 1, base.hash)
        base = event.head


def lines(home: Path) -> list[bytes]:
    return (home / "events.offline.log").read_bytes().split(b"\n")


# Damage


def test_torn_last_line_is_cut_off_and_noted(home: Path) -> None:
    put(home, "one", "two")
    with open(home / "events.offline.log", "ab") as file:
        file.write(b'{"interaction":null,"actor":"al')
    assert contents(home) == ["one", "two"]
    put(home, "three")
    assert contents(home) == ["one", "two", "three"]
    assert_chained(Queue(home).pending())
    noted = json.loads((home / "events.error.log").read_bytes())
    assert (noted["number"], noted["line"]) == (3, '{"interaction":null,"actor":"al')


def test_torn_last_line_seen_by_a_reader_is_still_mended_by_the_same_process(home: Path) -> None:
    put(home, "one")
    mine = Queue(home)
    mine.pending()
    with open(home / "events.offline.log", "ab") as file:
        file.write(b'{"inter')
    assert len(mine.pending()) == 1
    mine.append([draft("two")], signer=signer, fleet_id=FLEET)
    assert contents(home) == ["one", "two"]


def test_last_line_that_only_lacks_its_newline_is_kept(home: Path) -> None:
    put(home, "one", "two")
    path = home / "events.offline.log"
    os.truncate(path, path.stat().st_size - 1)
    put(home, "three")
    assert contents(home) == ["one", "two", "three"]
    assert not (home / "events.error.log").exists()


def test_zeros_that_a_power_cut_left_are_mended(home: Path) -> None:
    put(home, "one")
    with open(home / "events.offline.log", "ab") as file:
        file.write(b"\0" * 5000)
    put(home, "two")
    assert contents(home) == ["one", "two"]


def test_damaged_line_in_the_middle_loses_no_good_line(home: Path) -> None:
    events = put(home, "one", "two", "three", "four")
    rows = lines(home)
    rows[1] = rows[1][:20] + b"\xff" + rows[1][21:]
    (home / "events.offline.log").write_bytes(b"\n".join(rows))
    mine = Queue(home)
    assert [e.content for e in mine.pending()] == ["one"] and mine.broken
    mine.append([draft("five")], signer=signer, fleet_id=FLEET)
    assert mine.broken
    mine.rechain(Head(), without=frozenset(), signer=signer, fleet_id=FLEET)
    assert not mine.broken
    assert sorted(contents(home)) == ["five", "four", "one", "three"]
    assert_chained(Queue(home).pending())
    assert {e.uid for e in events if e.content != "two"} <= {e.uid for e in Queue(home).pending()}
    assert len((home / "events.error.log").read_bytes().splitlines()) == 1


def test_what_does_not_fit_is_never_trimmed_by_number(home: Path) -> None:
    put(home, "one", "two", "three")
    rows = lines(home)
    (home / "events.offline.log").write_bytes(b"\n".join([rows[0], b"rubbish", rows[2], b""]))
    mine = Queue(home)
    mine.append([draft("a"), draft("b"), draft("c")], signer=signer, fleet_id=FLEET)
    mine.trim(mine.pending()[-1].head)
    again = Queue(home)
    again.rechain(Head(), without=frozenset(), signer=signer, fleet_id=FLEET)
    assert sorted(contents(home)) == ["a", "b", "c", "one", "three"]


def test_damaged_line_that_comes_back_makes_the_chain_whole(home: Path) -> None:
    events = put(home, "one", "two", "three")
    rows = lines(home)
    (home / "events.offline.log").write_bytes(b"\n".join([rows[0], b"rubbish", rows[2], b""]))
    mine = Queue(home)
    mine.adopt([events[1]])  # from our outbox
    assert [e.content for e in mine.pending()] == ["one", "two", "three"] and not mine.broken
    assert [e.content for e in Queue(home).pending()] == ["one", "two", "three"]


def test_lines_that_a_crash_left_below_the_head_are_forgotten(home: Path) -> None:
    events = put(home, "one", "two", "three")
    (home / "head.json").write_bytes(queue_file.HeadFile("laptop-3f9a", events[1].head).text())
    assert contents(home) == ["three"]
    put(home, "four")
    assert contents(home) == ["three", "four"]


def test_lines_below_the_head_that_are_not_its_chain_stay(home: Path) -> None:
    put(home, "one", "two", "three")
    (home / "head.json").write_bytes(queue_file.HeadFile("laptop-3f9a", Head(2, "x" * 43)).text())
    assert contents(home) == [] and Queue(home).broken


def test_damaged_head_is_named_with_a_remedy(home: Path) -> None:
    (home / "head.json").write_bytes(b"")
    with pytest.raises(Corrupt, match="head.json is damaged.*gitcoord init"):
        Queue(home).pending()


# Trim, drop


def test_trim_goes_by_the_line_and_not_by_its_number(home: Path) -> None:
    [one, two] = put(home, "one", "two")
    mine = Queue(home)
    mine.drop(one.uid, signer=signer, fleet_id=FLEET)
    mine.trim(one.head)  # the ledger's word about a line that is no more
    assert contents(home) == ["two"]
    assert mine.base == Head()
    mine.trim(mine.pending()[0].head)
    assert contents(home) == [] and mine.base.seq == 1


def test_a_trim_while_another_line_waits_leaves_the_file_and_another_process_agrees(home: Path) -> None:
    mine, other = Queue(home), Queue(home)
    events = put(home, "one", "two", "three")
    assert other.pending() == mine.pending() == events
    for event in events[:2]:
        mine.trim(event.head)
    assert len(lines(home)) == 3 + 1
    assert mine.pending() == other.pending() == Queue(home).pending() == events[2:]
    [four] = other.append([draft("four")], signer=signer, fleet_id=FLEET)
    assert_chained(mine.pending(), events[1].head)
    mine.trim(four.head)
    assert lines(home) == [b""]


def test_many_lines_that_are_trimmed_are_taken_out_of_the_file(home: Path) -> None:
    events = put(home, *(f"{number} " + "x" * 400 for number in range(20)))
    mine = Queue(home)
    for event in events[:19]:
        mine.trim(event.head)
    assert contents(home) == [events[19].content] and len(lines(home)) < 10


def test_lines_that_a_crash_left_before_the_head_are_taken_out(home: Path) -> None:
    [one] = put(home, "one")
    data = (home / "events.offline.log").read_bytes()
    Queue(home).trim(one.head)
    (home / "events.offline.log").write_bytes(data)  # the head was written, the file was not cut
    again = Queue(home)
    assert again.untidy and again.pending() == []
    again.append([], signer=signer, fleet_id=FLEET)
    assert lines(home) == [b""] and not again.untidy


def test_drop_chains_the_rest_anew_with_the_same_uids(home: Path) -> None:
    events = put(home, "one", "two", "three")
    Queue(home).drop(events[0].uid, signer=signer, fleet_id=FLEET)
    left = Queue(home).pending()
    assert [e.uid for e in left] == [e.uid for e in events[1:]]
    assert_chained(left)
    with pytest.raises(Refused, match="gitcoord queue list"):
        Queue(home).drop(events[0].uid, signer=signer, fleet_id=FLEET)


def test_a_draft_appended_twice_is_queued_once(home: Path) -> None:
    same = draft("one")
    assert len(Queue(home).append([same, same], signer=signer, fleet_id=FLEET)) == 1
    assert Queue(home).append([same], signer=signer, fleet_id=FLEET) == []
    assert contents(home) == ["one"]


def test_an_append_with_one_bad_draft_writes_nothing(home: Path) -> None:
    mine = Queue(home)
    with pytest.raises(Refused):
        mine.append([draft("one"), draft("x" * 70_000)], signer=signer, fleet_id=FLEET)
    assert mine.pending() == [] and contents(home) == []


# Crashes: at every change of the disk, of every operation

OPERATIONS: dict[str, Change] = {
    "append": lambda q: q.append([draft("new"), draft("newer")], signer=signer, fleet_id=FLEET),
    "trim": lambda q: q.trim(q.pending()[1].head),
    "trim all": lambda q: q.trim(q.pending()[-1].head),
    "drop": lambda q: q.drop(q.pending()[0].uid, signer=signer, fleet_id=FLEET),
    "chain anew": lambda q: q.rechain(Head(7, hash_of(b"7")), without=frozenset(), signer=signer, fleet_id=FLEET),
    "become a new node": lambda q: q.rechain(
        Head(), without=frozenset(), signer=signer, fleet_id=FLEET, node_id="laptop-new"
    ),
}
MAY_GO = {"trim": 2, "trim all": 4, "drop": 1}  # of the first events: the ledger holds them, or the user said so


def filled(home: Path) -> tuple[Queue, list[str]]:
    Queue.create(home, node_id="laptop-3f9a")
    events = put(home, "1", "2", "3", "4")
    return Queue(home), [event.uid for event in events]


def faulty(monkeypatch: pytest.MonkeyPatch, disk: FaultyOs) -> None:
    for module in (files, queue):
        monkeypatch.setattr(module, "os", disk)


def assert_sound(home: Path, acknowledged: list[str], may_go: int) -> None:
    mine = Queue(home)
    mine.append([draft("after")], signer=signer, fleet_id=FLEET)  # mends, and goes on
    again = Queue(home)
    uids = [event.uid for event in again.pending()]
    assert_chained(again.pending(), again.base)
    assert not again.broken
    assert {event.node for event in again.pending()} == {again.node}
    left = [uid for uid in uids if uid in acknowledged]
    assert left == acknowledged[len(acknowledged) - len(left) :], "in their order; the first may be gone"
    assert len(left) >= len(acknowledged) - may_go
    assert len(uids) == len(set(uids))
    assert again.pending()[-1].content == "after"


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_crash_between_any_two_steps_loses_nothing(
    name: str, power_cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 100):
        home = tmp_path / str(step)
        home.mkdir()
        mine, acknowledged = filled(home)
        disk = FaultyOs(step, power_cut=power_cut)
        with monkeypatch.context() as patch:
            faulty(patch, disk)
            try:
                OPERATIONS[name](mine)
            except Crash:
                disk.cut_power()
        if not disk.crashed:
            assert step > 3, "the disk was hardly touched: the test sees nothing"
            return
        assert_sound(home, acknowledged, MAY_GO.get(name, 0))
    raise AssertionError("never finished")


@pytest.mark.parametrize("name", ["append", "trim", "chain anew", "become a new node"])
def test_a_crash_while_mending_a_crash_loses_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in range(1, 30):
        for second in range(1, 30):
            home = tmp_path / f"{first}-{second}"
            home.mkdir()
            mine, acknowledged = filled(home)
            disks = [FaultyOs(first), FaultyOs(second)]
            for disk, change in zip(disks, (OPERATIONS[name], OPERATIONS["append"]), strict=True):
                with monkeypatch.context() as patch:
                    faulty(patch, disk)
                    try:
                        change(mine)
                    except Crash:
                        mine = Queue(home)
            assert_sound(home, acknowledged, MAY_GO.get(name, 0))
            if not disks[1].crashed:
                break
        if not disks[0].crashed:
            return


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_error_at_any_step_pauses_and_loses_nothing(
    name: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 100):
        home = tmp_path / str(step)
        home.mkdir()
        mine, acknowledged = filled(home)
        disk = FaultyOs(step, error=error)
        with monkeypatch.context() as patch:
            faulty(patch, disk)
            try:
                OPERATIONS[name](mine)
            except Paused as told:
                assert "gitcoord resume" in str(told)
        if disk.hit is None:
            return
        if (home / "paused").exists():
            with pytest.raises(Paused, match="paused: .*gitcoord resume"):
                mine.append([draft("refused")], signer=signer, fleet_id=FLEET)
            if name == "append":
                assert [e.uid for e in mine.pending()] == acknowledged, "what was refused must not be sent"
        files.resume(home)
        assert "refused" not in contents(home)
        assert_sound(home, acknowledged, MAY_GO.get(name, 0))
        mine.append([draft("the same process goes on")], signer=signer, fleet_id=FLEET)
        assert contents(home)[-1] == "the same process goes on"
    raise AssertionError("never finished")


def test_the_data_is_synced_before_the_append_returns(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FaultyOs(10**9, power_cut=True)
    with monkeypatch.context() as patch:
        faulty(patch, disk)
        put(home, "one", "two")
        disk.cut_power()
    assert contents(home) == ["one", "two"]


def test_a_queue_that_forgets_to_sync_is_found_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: without this the power cut above would prove nothing."""
    disk = FaultyOs(10**9, power_cut=True)
    with monkeypatch.context() as patch:
        faulty(patch, disk)
        disk.__dict__["fsync"] = lambda descriptor: None
        put(home, "one", "two")
        disk.cut_power()
    assert contents(home) == []


# The spool


def test_what_waits_in_the_spool_goes_first_and_once(home: Path) -> None:
    Spool(home).put_error("alice", "could not lock")
    [waiting] = (home / "spool").iterdir()
    kept = waiting.read_bytes()
    put(home, "one")
    assert contents(home) == ["could not lock", "one"] and not waiting.exists()
    waiting.write_bytes(kept)  # a crash came before it was removed
    put(home, "two")
    assert contents(home) == ["could not lock", "one", "two"] and not waiting.exists()


def test_a_spooled_draft_of_an_agent_without_a_key_here_waits_and_rubbish_goes(home: Path) -> None:
    def only_alice(agent: str) -> Signer:
        if agent != "alice":
            raise Refused("no key")
        return signer(agent)

    Spool(home).put_error("bob", "could not lock")
    (home / "spool" / "rubbish.json").write_bytes(b"{")
    (home / "spool" / "wrong.json").write_bytes(b'{"actor": 1}')
    Queue(home).append([draft("one")], signer=only_alice, fleet_id=FLEET)
    assert contents(home) == ["one"]
    assert len(list((home / "spool").iterdir())) == 1
    put(home, "two")
    assert contents(home) == ["one", "could not lock", "two"]


def test_the_spool_is_bounded(home: Path) -> None:
    for number in range(SPOOLED_MAX + 5):
        Spool(home).put_error("alice", f"could not lock {number}")
    assert len(list((home / "spool").iterdir())) == SPOOLED_MAX


# Several processes


def _appends(home: str, name: str, count: int) -> None:
    mine = Queue(Path(home))
    for number in range(count):
        mine.append([draft(f"{name} {number}")], signer=signer, fleet_id=FLEET)


def _trims(home: str, stop: object) -> None:
    mine = Queue(Path(home))
    while not stop.is_set():  # type: ignore[attr-defined]
        pending = mine.pending()
        if len(pending) > 5:
            mine.trim(pending[4].head)


def test_four_processes_append_at_once_and_a_reader_without_the_lock_always_sees_a_chain(home: Path) -> None:
    many = multiprocessing.get_context("spawn")
    writers = [many.Process(target=_appends, args=(str(home), f"w{n}", 50)) for n in range(4)]
    for writer in writers:
        writer.start()
    reader, seen = Queue(home), 0
    while any(writer.is_alive() for writer in writers):
        pending = reader.pending()
        assert_chained(pending)
        assert len(pending) >= seen and not reader.broken
        seen = len(pending)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    pending = reader.pending()
    assert len(pending) == len({event.uid for event in pending}) == 200
    for n in range(4):
        mine = [event.content for event in pending if event.content.startswith(f"w{n} ")]
        assert mine == [f"w{n} {number}" for number in range(50)]


def test_a_reader_sees_a_chain_while_others_append_and_trim(home: Path) -> None:
    many = multiprocessing.get_context("spawn")
    stop = many.Event()
    trimmer = many.Process(target=_trims, args=(str(home), stop))
    writers = [many.Process(target=_appends, args=(str(home), f"w{n}", 60)) for n in range(2)]
    for process in (trimmer, *writers):
        process.start()
    reader, reads = Queue(home), 0
    while any(writer.is_alive() for writer in writers):
        pending = reader.pending()
        if pending:
            assert_chained(pending, Head((pending[0].seq or 0) - 1, pending[0].prev or ""))
        assert not reader.broken
        reads += 1
    stop.set()
    for process in (trimmer, *writers):
        process.join()
        assert process.exitcode == 0
    last = Queue(home)
    assert last.base.seq + len(last.pending()) == 120
    assert reads > 10


def test_a_reader_takes_over_from_the_swap_of_a_dead_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between head and rename: who reads without the lock sees the new chain, not half of each."""
    put(home, "one", "two")
    for step in range(1, 40):
        disk = FaultyOs(step)
        mine = Queue(home)
        with monkeypatch.context() as patch:
            faulty(patch, disk)
            try:
                mine.rechain(Head(), without=frozenset(), signer=signer, fleet_id=FLEET, node_id=f"node-{step}")
            except Crash:
                pass
        reader = Queue(home)
        assert [e.content for e in reader.pending()] == ["one", "two"]
        assert {e.node for e in reader.pending()} == {reader.node} and not reader.broken
        if not disk.crashed:
            return
    raise AssertionError("never finished")


def test_threads_of_one_process_each_with_a_queue(home: Path) -> None:
    threads = [threading.Thread(target=_appends, args=(str(home), f"t{n}", 20)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(contents(home)) == 80


# Speed


def test_what_another_process_appends_is_read_from_where_it_begins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = Queue(home), Queue(home)
    started = time.perf_counter()
    other.append([draft(f"{n}") for n in range(10_000)], signer=signer, fleet_id=FLEET)
    assert time.perf_counter() - started < 10, "measured: 0.55 s"
    assert len(mine.pending()) == 10_000
    parsed = []
    real = queue_file.parse
    monkeypatch.setattr(queue_file, "parse", lambda line: parsed.append(line) or real(line))
    other.append([draft("one more")], signer=signer, fleet_id=FLEET)
    assert mine.pending()[-1].content == "one more"
    mine.append([draft("and mine")], signer=signer, fleet_id=FLEET)
    assert other.pending()[-1].content == "and mine"
    assert len(parsed) == 2, "each process parses the other's one line, and nothing else"
    mine.trim(mine.pending()[5000].head)
    assert len(other.pending()) == 5001


def test_growth_after_a_line_that_was_taken_back_is_read_anew(home: Path) -> None:
    """A reader saw a line that its writer took back (a failed sync); another of the same length follows."""
    put(home, "one")
    reader = Queue(home)
    path = home / "events.offline.log"
    size = path.stat().st_size
    put(home, "two")
    assert len(reader.pending()) == 2
    os.truncate(path, size)
    put(home, "six")
    put(home, "ten")
    assert [e.content for e in reader.pending()] == ["one", "six", "ten"]
