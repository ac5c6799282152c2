"""The old remote: after a move, while an agent of this process leads, a thread checks it for events left there.

A clone that never follows, such as one whose disk was lost, may have events in its outbox there. They are signed, so
any node may offer them again: they go into this node's outbox as orphans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import filelock

from gitcoord.core.errors import GitcoordError
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import Oid
from gitcoord.core.text import count
from gitcoord.node.guards import describe_error
from gitcoord.node.node import Node
from gitcoord.node.remotes import relocation

CHECK_S = (600.0, 86_400.0)  # between two checks, at first and at most: it doubles while the old remote is unreachable
LINES_MAX = 1000  # offered again at a time: the rest comes with the next check
END_S = 2.0


class OldRemote:
    """The remote before the fleet's move. `agent run` calls it between two rounds."""

    agent = ""  # it belongs to no single agent
    busy = False

    def __init__(self, node: Node, *, say: Callable[[str, str], None]) -> None:
        self.node, self.say = node, say
        self._thread: threading.Thread | None = None
        self._found: list[bytes] = []
        self._seen: dict[str, Oid] = {}  # outboxes that were read, by ref
        self._wrong = ""
        self._failures = 0
        self._next_s = 0.0

    def is_due(self, now_s: float) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def step(self, now_s: float) -> bool:
        """Begin a check if one is due and an agent of this process leads, or offer again what the last one found."""
        if self._thread is not None:
            if not self._thread.is_alive():
                self._conclude(now_s)
            return False
        if now_s < self._next_s:
            return False
        self._next_s = now_s + CHECK_S[0]
        config = self.node.home.config()
        moves, terms = self.node.fleet.moves, self.node.fleet.terms
        if not config.moved_from or moves.under_way or self.node.local.leading(terms) is None:
            return False
        self._found, self._wrong = [], ""
        self._thread = threading.Thread(target=self._check, args=(config.moved_from,), daemon=True)
        self._thread.start()
        return False

    def _check(self, remote: str) -> None:
        """Read the outboxes of the old remote, in a thread, into a temporary folder."""
        prefix = f"{self.node.config.namespace}/nodes/"
        try:
            with relocation.probe(self.node, remote) as probe:
                shown = {ref: oid for ref, oid in probe.refs().items() if ref.startswith(prefix)}
                if any(self._seen.get(ref) != oid for ref, oid in shown.items()):
                    for ref, oid in probe.store.fetch(newcomer=True).refs.items():
                        if ref.startswith(prefix) and self._seen.get(ref) != oid:
                            box = outbox.read(probe.store, oid)
                            self._found += [*box.lines, *box.orphans]
                self._seen = shown
        except Exception as wrong:  # the network failed, or an outbox is malformed
            self._wrong = str(wrong) if isinstance(wrong, GitcoordError) else describe_error(wrong)

    def _conclude(self, now_s: float) -> None:
        self._thread = None
        self._failures = self._failures + 1 if self._wrong else 0
        self._next_s = now_s + min(CHECK_S[0] * 2 ** min(self._failures, 16), CHECK_S[1])
        if not self._found:
            return
        replica, home = self.node.replica, self.node.home
        known = set(home.orphans)
        lines = [
            line
            for line in dict.fromkeys(self._found)
            if line not in known and replica.check(line) is not None and not replica.is_sequenced(line)
        ]
        if len(lines) > LINES_MAX:
            self._seen, self._next_s = {}, now_s + 1.0
        if not lines:
            return
        try:
            with home.sync_lock.acquire(timeout=END_S):
                home.save_orphans(tuple(dict.fromkeys([*home.orphans, *lines[:LINES_MAX]])))
        except filelock.Timeout:
            self._seen = {}  # to read them again
            return
        self.say("carried", f"{count(min(len(lines), LINES_MAX), 'event')} left at the old remote: offered again here")

    def ask_to_end(self) -> None:
        """Do nothing: a check changes nothing on the remote."""

    def end(self) -> None:
        """Do nothing: the next leader repeats the check."""
