"""Outboxes: what a node pushes is what others read, whatever somebody else put there."""

from __future__ import annotations

import pytest

from gitcoord.core import limits
from gitcoord.core.format.event import Draft, Event, Head, hash_of, seal
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import TreeEntry
from gitcoord.store.memory import MemoryServer, MemoryStore
from tests.core.driver import FLEET, LEDGER, OUTBOXES, World, signer_of


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(MemoryServer(), ledger_ref=LEDGER, outbox_prefix=OUTBOXES)


def chain(count: int, *, start: Head = Head()) -> list[Event]:
    events, head = [], start
    for number in range(count):
        draft = Draft("one", "note", str(number), "2026-11-21T00:00:00Z", f"{number:016d}")
        events.append(seal(draft, node="one-1", after=head, signer=signer_of("one"), fleet=FLEET))
        head = events[-1].head
    return events


def written(store: MemoryStore, pending: list[Event], *, orphans: tuple[bytes, ...] = (), nonce: str = "n") -> str:
    return outbox.write(
        store, node="one-1", pending=pending, heartbeats=(), orphans=orphans, nonce=nonce, parent=None, time_s=0
    )


def test_what_was_written_is_read_in_its_order(store: MemoryStore) -> None:
    events = chain(600)
    orphans = tuple(event.line for event in chain(2, start=Head(5, hash_of(b"x"))))
    box = outbox.read(store, written(store, events, orphans=orphans))
    assert list(box.lines) == [event.line for event in events]
    assert box.orphans == orphans and box.heartbeats == ()


def test_a_long_queue_that_grows_by_one_sends_one_new_chunk(store: MemoryStore) -> None:
    events = chain(5 * limits.OUTBOX_CHUNK_EVENTS)
    written(store, events[:-1])
    before = {oid for oid, (kind, _) in store.objects.items() if kind == "blob"}
    written(store, events, nonce="m")
    assert len({oid for oid, (kind, _) in store.objects.items() if kind == "blob"} - before) == 1


def test_a_chunk_that_is_known_is_not_read_again(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    events = chain(4 * limits.OUTBOX_CHUNK_EVENTS)
    before = outbox.read(store, written(store, events[:-1]))
    oid = written(store, events, nonce="m")
    read: list[str] = []
    real = store.blob
    monkeypatch.setattr(store, "blob", lambda oid, **more: read.append(oid) or real(oid, **more))
    box = outbox.read(store, oid, before)
    assert len(read) <= 2 and list(box.lines) == [event.line for event in events]


def test_two_images_of_one_queue_differ_by_their_nonce(store: MemoryStore) -> None:
    assert written(store, [], nonce="a") != written(store, [], nonce="b")


def test_whatever_lies_in_an_outbox_never_stops_a_reader(store: MemoryStore) -> None:
    blob, empty = store.put_blob(b"\xff\xfe\n\n{}\n" + b"[" * 9000), store.put_tree({})
    roots: list[dict[str, TreeEntry]] = [
        {},
        {"queue": TreeEntry(blob)},
        {"queue": TreeEntry(empty, True)},
        {"heartbeats.log": TreeEntry(empty, True)},
        {"orphans.log": TreeEntry(empty, True)},
        {"heartbeats.log": TreeEntry("1" * 40)},
        {"queue": TreeEntry("1" * 40, True)},
        {
            "queue": TreeEntry(store.put_tree({"x": TreeEntry(empty, True), "y": TreeEntry(blob)}), True),
            "heartbeats.log": TreeEntry(blob),
        },
        {"queue": TreeEntry(blob, True)},
    ]
    for root in roots:
        oid = store.put_commit(tree=store.put_tree(root), parents=[], message="", author="m", time_s=0)
        assert outbox.read(store, oid).heartbeats == ()
    assert outbox.read(store, blob).lines == () and outbox.read(store, "2" * 40).lines == ()


def test_one_bad_file_does_not_hide_the_good_ones(store: MemoryStore) -> None:
    [event] = chain(1)
    queue = store.put_tree(
        {"00000000.log": TreeEntry(store.put_blob(event.line + b"\n")), "00000001.log": TreeEntry("1" * 40)}
    )
    root = store.put_tree({"queue": TreeEntry(queue, True), "orphans.log": TreeEntry(store.put_tree({}), True)})
    oid = store.put_commit(tree=root, parents=[], message="", author="m", time_s=0)
    assert outbox.read(store, oid).lines == (event.line,)


def test_a_fleet_lives_on_beside_outboxes_of_nonsense() -> None:
    world = World()
    one = world.machine("one", runs=True)
    world.settle(3)
    god = world.god
    for number, name in enumerate(["x", "../../up", "-rf", "A B", "\u00e9"]):
        blob = god.put_blob(bytes(range(256)) * 20 + b"\n" + b"{" * 5000)
        root = {
            "queue": TreeEntry(god.put_tree({"a": TreeEntry(blob)}), True),
            "heartbeats.log": TreeEntry(blob),
            "orphans.log": TreeEntry(blob),
            str(number): TreeEntry(blob),
        }
        oid = god.put_commit(tree=god.put_tree(root), parents=[], message="", author="m", time_s=0)
        world.server.objects |= god.objects
        world.server.refs[OUTBOXES + name] = oid
    one.say("fine")
    world.settle(3)
    world.check()
    assert one.leads and not one.disk.pending()
