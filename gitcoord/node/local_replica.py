"""The local replica: the folded ledger of one process, opened from the cache, and cached again as it grows."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Event
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.round.replica import Clock, Replica, advance_to
from gitcoord.features import FEATURES
from gitcoord.node import fold_cache, peers, trust
from gitcoord.node.clock import since_boot_s, utc_now
from gitcoord.node.keyring import Keyring
from gitcoord.node.private_store import Store
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config

CACHE_EVENTS = 64  # events folded since the cache was written, before it is written again
SHORT_EVENTS = 1000  # a history of that many is written in a few milliseconds, each time it has grown
CACHE_S = 10.0  # between two writes by any process of the node: otherwise each of many fast commands would write it
OWN_MAX = 10_000  # lines of the queue that are remembered until they are folded


class LocalReplica:
    """Opens the replica at its first use, and keeps it up to date with what the node's processes have fetched."""

    def __init__(
        self,
        home: Home,
        store: Store,
        config: Config,
        keyring: Keyring,
        rng: random.Random,
        *,
        publish: Callable[[LedgerBranch], Mapping[str, bytes | None]],
    ) -> None:
        self.opened: Replica | None = None
        self._home, self._store, self._config, self._keyring = home, store, config, keyring
        self._rng, self._publish = rng, publish
        self._own: dict[bytes, Event | None] = {}  # lines of our queue, whose signatures need no check
        self._cached = 0  # position of the cache on disk

    def caught_up(self) -> Replica:
        """Return the replica, after folding what other processes of this node have fetched."""
        with fold_cache.gc_paused():
            if self.opened is None:
                self.opened = self.open()
            tip = self._home.tip
            if tip is not None and tip != self.opened.branch.tip:
                advance_to(self.opened, tip, known=self._own)
                self.opened.first_seen.note(self.opened.branch.fleet.position, since_boot_s())
            self._own.clear()
            return self.opened

    def remember(self, events: Iterable[Event]) -> None:
        """Remember lines of this node, so that the fold does not check their signatures again."""
        if len(self._own) < OWN_MAX:
            self._own.update((one.line, one) for one in events)

    def forget(self) -> None:
        """Drop the replica, so that its next use opens it again: its store was replaced."""
        self.opened = None

    def save_cache(self) -> None:
        """Write the cache if it is old enough: a write takes time in proportion to the history.

        To fold a few more lines takes little; but it imports all features, which takes more than a short history does.
        """
        branch = self.opened.branch if self.opened is not None else None
        if branch is None or branch.fleet.position == self._cached:
            return
        position = branch.fleet.position
        # A cache that could not be read, which took a whole fold, is replaced even if it is new.
        is_due = not self._cached or position <= SHORT_EVENTS or fold_cache.age_s(self._home) >= CACHE_S
        if abs(position - self._cached) >= (1 if position <= SHORT_EVENTS else CACHE_EVENTS) and is_due:
            if fold_cache.save(self._home, branch):
                self._cached = position

    def open(self) -> Replica:
        """Return a replica with the state of the cache, or an empty one if there is no usable cache."""
        config = self._config
        return Replica(
            objects=self._store,
            fresh=self._fresh_branch,
            branch=self._cached_branch() or self._fresh_branch(),
            ledger_ref=config.ledger,
            outbox_prefix=f"{config.namespace}/nodes/",
            clock=Clock(since_boot_s, utc_now, lambda: int(time.time())),
            rng=self._rng,
            fleet_id=config.fleet_id,
            publish=self._publish,
            anchors=trust.anchors(config),
            accepts_checkpoints=trust.read(self._home).accepts_checkpoints,
            parented_outbox=config.namespace.startswith("refs/heads/"),
            first_seen=peers.first_seen(self._home.cache),
        )

    def _fresh_branch(self) -> LedgerBranch:
        return LedgerBranch(self._store, FleetState(FEATURES, self._keyring.verifier()))

    def _cached_branch(self) -> LedgerBranch | None:
        branch = fold_cache.read(self._home, self._fresh_branch(), self._keyring.verifier())
        if branch is None or branch.fleet.id != self._config.fleet_id:
            return None
        if branch.checkpoint_position and not trust.read(self._home).accepts_checkpoints:
            return None  # written by a process that began with a checkpoint before it was found wrong
        self._cached = branch.fleet.position
        return branch
