"""The node: holds the queue, the store and the folded ledger together, and drives the protocol."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gitcoord.core.errors import Corrupt, GitcoordError
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Event, parse
from gitcoord.core.leadership.budget import Budget
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.leadership.timings import PROFILES, Profile
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.round import protocol
from gitcoord.core.round.replica import Replica
from gitcoord.core.round.results import Report
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.node import config as preferences
from gitcoord.node import delivery, driver, fold_cache, guards, peers, push_budget, status_cache
from gitcoord.node.clock import since_boot_s, utc_now
from gitcoord.node.local_replica import LocalReplica
from gitcoord.node.private_store import Store, open_store
from gitcoord.node.remotes import relocation
from gitcoord.node.writer import Writer
from gitcoord.store.files import check_not_paused, pausing
from gitcoord.store.git import repo_location
from gitcoord.store.home import locks
from gitcoord.store.home.home import Home, find_home
from gitcoord.store.home.locks import LockHeld

if TYPE_CHECKING:
    from gitcoord.node.ledger_pages import Publisher

COMMANDS_PATIENCE = 10  # an `agent run` tidies up at a quiet moment; without one, one command in hundreds does


class Node:
    """One process's access to a node. Do not share it between threads, and close it when done."""

    def __init__(
        self, home: Home, store: Store, *, folder: Path | None = None, tell: Callable[[str, str], None] | None = None
    ) -> None:
        self.writer = writer = Writer(home)
        self.home, self.config, self.keyring, self.disk = (
            home,
            self.writer.config,
            self.writer.keyring,
            self.writer.disk,
        )
        self.draft, self.drafted, self.check, self.append = writer.draft, writer.drafted, writer.check, writer.append
        self.folder = folder  # the folder in which this process acts
        # git's own folder of the linked work tree around it, and its name; None and "" in the clone's main work tree
        self.worktree = repo_location.worktree_git_dir(folder) if folder is not None else None
        self.place = self.worktree.name if self.worktree is not None else ""
        self.store = store
        self.tell = tell or (lambda kind, text: None)
        self.rng: random.Random = random.SystemRandom()
        self.local = LocalSessions(self.disk.node, PROFILES[self.config.profile or "local"], self.rng)
        self.local.standings = lambda: peers.agent_liveness(self, watched=True)
        self.local.neighbours = home.neighbours  # a command's push must not remove the heartbeats of an `agent run`
        self.budget = Budget(self.local.profile.pushes_per_minute)
        self.pause: Callable[[float], None] = time.sleep
        self.round_trip_s = 0.0  # seconds of a fetch and a push
        self.relocating = False  # to the remote where the fleet moved
        self.waited_s = 0.0  # seconds of this round spent waiting for other writers
        self._status_cached: tuple[str | None, str] | None = None  # the tip and the node of the status cache on disk
        self._round_guard = guards.RoundGuard(lambda kind, text: self.tell(kind, text))
        self.ledger = LocalReplica(
            home, store, self.config, self.keyring, self.rng, publish=lambda branch: self._publisher.due(branch)
        )

    @cached_property
    def _publisher(self) -> Publisher:
        from gitcoord.node import ledger_pages  # only for a push of the ledger

        return ledger_pages.Publisher(self._round_guard.tell_once, self._sealed)

    # Opening

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Save the fold's cache, tidy the store if that is due, and close the store. No error is raised."""
        with contextlib.suppress(OSError, GitcoordError):
            self.ledger.save_cache()
            if self.round_trip_s and self.home.exists:  # false after `leave`, which moves the home away
                self.tidy(COMMANDS_PATIENCE)
        self.store.close()

    @property
    def profile(self) -> Profile:
        """Return the timing profile in force, after reading the fleet's settings."""
        self._follow_profile(preferences.profile_of(self.config, self.fleet))
        return self.local.profile

    def use_profile(self, name: str) -> None:
        """Use the timings and push budget of the profile `name` instead of the fleet's. Raise Refused if there is
        none."""
        self.config.profile = preferences.profile_name(name)
        self._follow_profile(self.config.profile)

    def _follow_profile(self, name: str) -> None:
        if self.local.profile.name != name:
            self.local.profile = PROFILES[name]
            self.budget = Budget(self.local.profile.pushes_per_minute)

    @property
    def replica(self) -> Replica:
        """Return the folded ledger of this process, up to date with what the node has fetched."""
        try:
            return self._caught_up()
        except Corrupt as wrong:
            if not self._repair_store(wrong):
                raise
            return self._caught_up()

    def _caught_up(self) -> Replica:
        replica = self.ledger.caught_up()
        self._follow_profile(preferences.profile_of(self.config, replica.branch.fleet))
        return replica

    @property
    def fleet(self) -> FleetState:
        """Return the state of the fleet: the fold of the ledger as this node last saw it."""
        return self.replica.branch.fleet

    def _sealed(self, data: bytes, branch: LedgerBranch) -> bytes:
        """Return a checkpoint with the signature of the leader, if an agent of this process leads."""
        fleet = branch.fleet
        lead = self.local.leading(fleet.terms)
        if lead is None:
            return data
        return checkpoint.sign(
            data,
            agent=lead.agent,
            term=fleet.terms.term,
            position=fleet.position,
            signer=lead.signer,
            fleet_id=fleet.id or "",
        )

    # Writing: `draft`, `check` and `append` are the writer's

    def level(self, event: Event) -> tuple[str, int | None]:
        """Return "queued", "durable" or "sequenced", as far as this node knows, and the position (None if not
        sequenced)."""
        return delivery.level(self, event)

    def confirm(
        self, event: Event, level: str, *, timeout_s: float, rounds: int | None = None, urgent: bool = False
    ) -> tuple[str, int | None]:
        """Wait until `event` has reached `level`, in at most `rounds` own rounds. Return its level and position.

        Raise NotConfirmed, and what else `delivery.confirm` raises.
        """
        self.ledger.remember(self.disk.pending())
        return delivery.confirm(self, event, level, timeout_s=timeout_s, rounds=rounds, urgent=urgent)

    # Syncing

    def sync(self, *, tick: bool = True, lock_timeout_s: float = 60.0, urgent: bool = False) -> Report:
        """Do one round for all processes of this node, and return its report.

        `tick` says that the leader's duties are due; an `urgent` round may borrow from the push budget. If another
        process holds the lock for longer than `lock_timeout_s`, write an `error` event and raise LockHeld; if that is
        0, raise filelock.Timeout at once. Raise Unreachable, Denied, BadCredentials, Lost, Corrupt or Paused.
        """
        check_not_paused(self.home.path)
        with pausing(self.home.path):
            self._spool_heartbeats()
        with pausing(self.home.path), self._sync_lock(lock_timeout_s):
            if self.home.queue.spool or self.home.queue.untidy:
                self.disk.append(())  # takes in lines of a writer that could not lock the queue, and tidies it
            relocation.turn(self)
            try:
                report = self._round(tick, urgent)
            except Corrupt as wrong:
                if not self._repair_store(wrong):
                    raise
                report = self._round(tick, urgent)
            try:
                relocation.check(self)
            except GitcoordError as wrong:
                delivery.note_failure(self, wrong)
                raise
            return report

    def tidy(self, patience: int = 1) -> None:
        """Tidy the private store up if that is due and no process syncs. A higher `patience` makes it due later."""
        with contextlib.suppress(TimeoutError), self._sync_lock(0):
            self.store.tidy(patience)

    @contextlib.contextmanager
    def _sync_lock(self, timeout_s: float) -> Iterator[None]:
        lock = self.home.sync_lock
        if not timeout_s:
            lock.acquire(timeout=0)
        else:
            try:
                locks.acquire(lock, guards="the sync", wait_s=timeout_s / locks.LOCK_ATTEMPTS)
            except LockHeld as wrong:
                self._note_lock(str(wrong))
                raise
        try:
            yield
        finally:
            lock.release()

    def _note_lock(self, text: str) -> None:
        """Write the text as an `error` event, unless the queue has that event already."""
        actor = self.home.queue.speaker
        if actor and not any(e.type == "error" and e.content == text for e in self.disk.pending()):
            with contextlib.suppress(GitcoordError):
                self.append(self.draft("error", text, actor=actor), on_secret=OnSecret.HIDE)

    def _repair_store(self, wrong: Corrupt) -> bool:
        """Fetch a damaged private store again. Return False if the store is sound, so that something else is wrong."""
        from gitcoord.node import store_repair

        with self._sync_lock(60.0):
            if not store_repair.store_damage(self.home):
                return False
            self.store.close()
            aside = store_repair.rebuild_store(self.home, self.config)
        self.ledger.forget()
        self.tell("store_rebuilt", f"the private store was damaged ({wrong}): fetched again, the old one is {aside}")
        return True

    def _round(self, tick: bool, urgent: bool) -> Report:
        replica = self.replica
        push_budget.resume(self.budget, self.home.progress())
        before = replica.branch.fleet.position
        self.waited_s, started = 0.0, time.monotonic()
        try:
            with fold_cache.gc_paused():
                report = driver.drive(
                    self,
                    protocol.sync(
                        replica,
                        self.disk,
                        self.local,
                        tick=tick,
                        may_push=lambda borrow: self.budget.allows(since_boot_s(), urgent=borrow or urgent),
                    ),
                )
        except GitcoordError as wrong:
            delivery.note_failure(self, wrong)
            raise
        self.round_trip_s = (time.monotonic() - started - self.waited_s) / (1 + report.races_lost)
        self._save_heartbeats()
        push_budget.share(self.budget, self.local, replica, node_id=self.disk.node)
        delivery.note(self, replica, before, report)
        for part in (self._cache_status, self.ledger.save_cache):
            self._round_guard.run(part)
        return report

    def _cache_status(self) -> None:
        now = (self.replica.branch.tip, self.disk.node)
        if now == self._status_cached:
            return
        if status_cache.read(self.home) is None:  # otherwise another process wrote it
            status_cache.save(self.home, status_cache.compute(self.replica.branch, self.home))
        self._status_cached = now

    def _spool_heartbeats(self) -> None:
        """Spool our heartbeats BEFORE asking for the lock, so that its holder, or the next one, pushes them along."""
        if self.ledger.opened is not None:
            for session in self.local.hand_over(self.ledger.opened.branch.fleet, since_boot_s(), timestamp=utc_now()):
                self.home.save_heartbeat(session.agent, session.line or b"")

    def _save_heartbeats(self) -> None:
        for session in self.local.sessions:
            if session.line:
                self.home.save_heartbeat(session.agent, session.line)

    # Reading

    def located(self, text: str) -> str:
        """Return a path, or a pattern of paths, relative to the top of the repository. Raise Refused outside of it."""
        return repo_location.from_top(self.folder, text) if self.folder is not None else text

    def events(self, since: int = 0) -> Iterator[tuple[int, Event]]:
        """Yield the position and the event of each sequenced event after `since`, in order, from the local copy."""
        read = self.replica.branch.line_at()
        for position in range(since + 1, self.fleet.position + 1):
            yield position, parse(read(position))


def open_node(path: Path, *, tell: Callable[[str, str], None] | None = None) -> Node:
    """Open the node of the clone (or worktree) at `path`. Raise Refused if it is in no fleet."""
    home = find_home(path)
    config = preferences.effective(home, os.environ)
    store = open_store(home, config, home.path.parent)
    return Node(home, store, folder=path, tell=tell)
