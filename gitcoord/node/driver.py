"""The driver: performs the effects that the protocol asks for, and sends it the answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from gitcoord.core.errors import Refused
from gitcoord.core.format.event import Event, Head
from gitcoord.core.round import effects
from gitcoord.node.clock import short_name, since_boot_s, utc_now
from gitcoord.node.node_parts import NodeParts
from gitcoord.store.home import node_key

ROUND_TRIP_S_MIN = 0.02

T = TypeVar("T")


def drive(node: NodeParts, steps: Generator[effects.Effect, Any, T]) -> T:
    """Perform the effects that `steps` yields, send it their answers, and return its result."""
    answer: Any = None
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        answer = perform(node, effect)


def perform(node: NodeParts, effect: effects.Effect) -> Any:
    """Perform one effect and return its answer, as `core/round/effects.py` describes it."""
    match effect:
        case effects.Fetch(newcomer, first):
            return node.store.fetch(newcomer=newcomer, first=first)
        case effects.Push(updates):
            node.budget.spend(since_boot_s())
            return node.store.push(updates)
        case effects.Wait(losses):
            trip_s = max(node.round_trip_s, ROUND_TRIP_S_MIN)
            most = min(max(node.local.profile.poll_s, 4 * trip_s), trip_s * 2**losses)
            began_s = time.monotonic()
            node.pause(node.rng.uniform(most / 4, most))  # the winner's next round carries others' lines along
            node.waited_s += time.monotonic() - began_s
            return None
        case effects.SaveTip(oid, term):
            node.store.keep("ledger", oid)
            return node.home.save_tip(oid, term)
        case effects.SaveSight(sight):
            return node.home.save_sight(sight)
        case effects.Trim(head):
            return node.home.queue.trim(head)
        case effects.Rechain(head, sequenced):
            return node.disk.rechain(head, sequenced)
        case effects.RestoreFromOutbox(events):
            return node.home.queue.adopt(events)
        case effects.Resubmit(events):
            return _resubmit(node, events)
        case effects.BecomeNewNode(reason):
            return _become_new_node(node, reason)
        case effects.RecordOutbox(oid, heartbeats):
            return node.home.note_outbox(oid, heartbeats)
        case effects.SaveOrphans(lines):
            return node.home.save_orphans(lines)
        case effects.Append(drafts):
            return node.disk.append(drafts)
        case effects.Notify(kind, text):
            return _notify(node, kind, text)
    raise AssertionError(f"unknown effect: {effect}")


def _resubmit(node: NodeParts, events: Sequence[Event]) -> None:
    """Append orphaned events again, with the same uids, if their authors' keys are here."""
    mine = []
    for event in events:
        with contextlib.suppress(Refused):
            if node.keyring.signer(event.actor).key == event.key:
                mine.append(event.draft())
    node.disk.append(mine)


def _become_new_node(node: NodeParts, reason: str) -> str:
    old = node.disk.node
    new, seed = node_key.new(short_name(old.rsplit("-", 1)[0]))
    node_key.keep(node.home.path, new, seed)
    node.disk.rechain(Head(), frozenset(node.fleet.positions), new)
    node_key.forget(node.home.path, old)
    _notify(node, "identity_shared", f"{reason}; this clone continues as node {new}, with its agents and keys")
    return new


def _notify(node: NodeParts, kind: str, text: str) -> None:
    if kind in ("bad_line", "outbox_defaced", "outbox_blocked", "replaced"):
        node.home.add_error({"time": utc_now(), "kind": kind, "text": text})
    node.tell(kind, text)
