"""Relocation: what a node does when the ledger says that the fleet moved to another remote.

The node of the clone in which `gitcoord move` ran follows by itself, even if a process was killed on the way:
`move.json` names the new remote, and is written BEFORE the ledger ends at the old one. Every other node stops, and
keeps new events in its queue. It follows if a person says so (`gitcoord move --follow`), or if its setting
`follow_moves` does. Otherwise, an attacker with an admin's key could send all machines to any remote.

The protocol has no step of its own for another remote. The ledger there descends from the one here, is older, or has
forked from it. A round handles each of these cases (`core/round/ledger_sync.py`), and pushes the queue there.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gitcoord.core.errors import Corrupt, Lost, Moved, Refused, Unreachable
from gitcoord.core.fold.moves import Moves
from gitcoord.core.format.event import Draft, Event
from gitcoord.core.ledger.origin import fleet_of
from gitcoord.core.ports import Oid, PushOutcome, Update
from gitcoord.core.round.replica import descends
from gitcoord.node.config import effective, variable
from gitcoord.node.local_replica import LocalReplica
from gitcoord.node.node_parts import NodeParts
from gitcoord.node.private_store import Store
from gitcoord.store import typed_json
from gitcoord.store.files import write_durably
from gitcoord.store.git import local_repo
from gitcoord.store.git import url as git_url
from gitcoord.store.git.credentials import own_token
from gitcoord.store.home.records import Config

if TYPE_CHECKING:
    from gitcoord.store.git.repo_health import Probe

FILE = "move.json"
COPY_ATTEMPTS = 5  # others may bring the ledger to the new remote at the same time


@dataclass(frozen=True, slots=True)
class Journal:
    """A move that began in this clone: the remote as its configuration is to name it, the address, and by whom."""

    remote: str
    to: str
    actor: str


@dataclass(frozen=True, slots=True)
class LedgerThere:
    """This fleet's ledger at another remote. If it `goes_on`, it has more than this clone has seen here."""

    tip: Oid
    goes_on: bool


class Moving(NodeParts, Protocol):
    """A node, as relocation sees it."""

    config: Config
    ledger: LocalReplica
    relocating: bool

    def draft(
        self, type_: str, content: str, *, actor: str, re: str | None = None, data: Mapping[str, Any] | None = None
    ) -> Draft: ...

    def append(self, *drafts: Draft) -> list[Event]: ...


def journal(home: Path) -> Journal | None:
    """Return the move that began in this clone and has not arrived; None if there is none."""
    try:
        return typed_json.read(Journal, (home / FILE).read_bytes())
    except (OSError, ValueError):
        return None


def save_journal(home: Path, one: Journal) -> None:
    write_durably(home / FILE, json.dumps(asdict(one)).encode())


def forget_journal(home: Path) -> None:
    (home / FILE).unlink(missing_ok=True)


def url_of(node: Moving, remote: str) -> str:
    """Return the URL of a remote that this clone's configuration names."""
    return local_repo.remote_url(node.home.path.parent, remote) or remote


def turn(node: Moving) -> None:
    """Go on at the remote that the configuration names now, which another process may have changed."""
    try:
        remote = effective(node.home, os.environ).remote
    except (Refused, Corrupt):  # somebody edits the file now, or this clone has left: the round goes on as before
        return
    if remote != node.config.remote:
        node.config.remote = remote
        node.store.turn_to(url_of(node, remote))
        node.ledger.forget()


def switch(node: Moving, remote: str, move: Moves) -> None:
    """Write the new remote into the configuration, in one step, and go on there."""
    own = node.home.config()
    if not own.moved_from or own.remote != remote:
        own.moved_from = own.remote
    if own.mirror and url_of(node, own.mirror) == url_of(node, remote):
        own.mirror = ""  # the ledger itself is there now
    own.remote, own.moved = remote, move.uid
    node.home.save_config(own)
    turn(node)


def check(node: Moving) -> None:
    """Return if the fleet is where this node is. Raise Moved if it went elsewhere, and this node does not follow."""
    move, begun = node.fleet.moves, journal(node.home.path)
    if node.relocating:
        return
    if not move.under_way:
        if begun is not None and move.to == begun.to:
            forget_journal(node.home.path)
        return
    if begun is not None and begun.to == move.to:
        finish(node, begun)
        return
    config = node.home.config()
    if config.moved == move.uid:
        raise Moved(
            f"the fleet is on its way to {move.to}, where this clone is, and has not arrived: {move.by}, or another "
            f"admin, runs `gitcoord move {move.to}` again. What is written here waits in the queue"
        )
    if config.follow_moves and not _risk(node, move.to):
        follow(node, move.to)
        return
    why = f"{_risk(node, move.to)}. " if config.follow_moves else ""
    raise Moved(
        f"{move.by} moved the fleet to {move.to} (position {move.position}). {why}If that is right, run `gitcoord move "
        f"--follow`, or `gitcoord move --follow REMOTE` if this machine reaches it by another name. What is written "
        "here waits in the queue, and goes along"
    )


def _risk(node: Moving, to: str) -> str:
    """Return why this node does not follow by itself, whatever its setting; "" if nothing speaks against it."""
    if os.environ.get(variable("remote"), "").strip():
        return f"{variable('remote')} names the remote here, and has to be changed"
    if sends_token(url_of(node, node.config.remote), to):
        return "The token in GITCOORD_TOKEN would go to another server"
    return ""


def sends_token(here: str, to: str) -> bool:
    """Return whether the environment has a token, which was not given for the server of `to`."""
    return git_url.origin_of(to) not in ("", git_url.origin_of(here)) and bool(own_token(os.environ))


def follow(node: Moving, remote: str) -> None:
    """Go on at `remote`, if this fleet's ledger is there. Raise Refused otherwise, and change nothing."""
    if ledger_at(node, remote) is None:
        raise Refused(f"{remote} does not have this fleet's ledger yet: try again when the move is done")
    with alone(node):
        switch(node, remote, node.fleet.moves)
        node.sync()
    check(node)


def ledger_at(node: Moving, remote: str) -> LedgerThere | None:
    """Return this fleet's ledger at another remote; None if it has none. Raise Refused for another fleet's.

    It is fetched into a folder of its own: what is there may be anybody's.
    """
    config, mine = node.config, node.home.tip
    with probe(node, remote) as looking:
        tip = looking.store.fetch().refs.get(config.ledger)
        found = fleet_of(looking.store, tip) if tip is not None else config.fleet_id
        goes_on = None not in (tip, mine) and tip != mine and descends(looking.store, mine or "", tip or "")
    if found != config.fleet_id:
        raise Refused(
            f"{remote} has the ledger of {f'fleet {found}' if found else 'no fleet that is known here'} in its branch "
            f"{config.ledger.removeprefix('refs/heads/')}: name another remote, or remove that branch"
        )
    return LedgerThere(tip, goes_on) if tip is not None else None


def probe(node: Moving, remote: str) -> Probe:
    """Return a connection to another remote with a temporary store, which is removed with it."""
    from gitcoord.store.git.repo_health import Probe  # only here: every command imports this module

    return Probe(
        url_of(node, remote),
        ledger_ref=node.config.ledger,
        outbox_prefix=f"{node.config.namespace}/nodes/",
        config_from=node.home.path.parent,
        timeout_s=node.config.timeout_s,
    )


def finish(node: Moving, begun: Journal) -> None:
    """Bring the ledger and the outboxes to the new remote, go on there, and open it. Each step may be done twice."""
    move = node.fleet.moves
    with alone(node):
        if node.home.config().moved != move.uid:
            copy(node, begun.remote)
            _end_mirror(node, begun.remote)
            switch(node, begun.remote, move)
        if move.under_way and not any(event.type == "fleet_arrived" for event in node.disk.pending()):
            words = f"the fleet is at {begun.to} now"
            node.append(node.draft("fleet_arrived", words, actor=begun.actor, re=move.uid))
        node.sync()
    if not node.fleet.moves.under_way:
        forget_journal(node.home.path)


def copy(node: Moving, remote: str) -> None:
    """Bring this fleet's ledger, as far as it is known here, and all outboxes to another remote. Never overwrite."""
    node.store.complete()
    with node.home.sync_lock, closing(node.store.beside(url_of(node, remote))) as there:
        for _ in range(COPY_ATTEMPTS):
            if _copied(node, there, remote):
                return
    raise Lost(f"the ledger at {remote} changes all the time: run `gitcoord move` again")


def _copied(node: Moving, there: Store, remote: str) -> bool:
    """Return whether the ledger there is ours, or goes on from it."""
    ref, tip = node.config.ledger, node.home.tip
    assert tip is not None
    shown = there.look()
    old = shown.get(ref)
    if old is not None and not descends(node.store, old, tip):
        if ledger_at(node, remote) is None:
            return False  # removed meanwhile
        return True  # of this fleet, and newer: another admin has finished the move
    updates = [Update(ref, old, tip)] if old != tip else []
    updates += [Update(box, None, oid) for box, oid in _boxes(node).items() if box not in shown]
    answers = there.push(updates)
    answer = answers.get(ref)
    if answer is None or answer.outcome is PushOutcome.ACCEPTED:
        return True
    if answer.outcome is PushOutcome.UNREACHABLE:
        raise Unreachable(answer.reason)
    if answer.outcome is PushOutcome.DENIED:
        raise Refused(f"{remote} does not accept the ledger: {answer.reason}")
    return False


def _end_mirror(node: Moving, remote: str) -> None:
    """Remove the ledger's mirror from the remote that has the ledger itself now: people would read an old one."""
    ref, tip = node.config.mirror_ref, node.home.tip
    with closing(node.store.beside(url_of(node, remote))) as there:
        old = there.look_up(ref)
        if old is not None and tip is not None and descends(node.store, old, tip):
            there.push([Update(ref, old, None)])


def _boxes(node: Moving) -> dict[str, Oid]:
    """Return the outboxes of all nodes, as they were last seen at the old remote."""
    prefix = f"{node.config.namespace}/nodes/"
    return {prefix + name: box.oid for name, box in node.replica.outboxes.items()}


@contextlib.contextmanager
def alone(node: Moving) -> Iterator[None]:
    """Hold the sync lock, and let the rounds meanwhile not begin the same once more."""
    with node.home.sync_lock:
        node.relocating = True
        try:
            yield
        finally:
            node.relocating = False
