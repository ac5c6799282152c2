"""The mirror writer: while an agent of this process leads, a thread pushes the ledger to its mirror.

No round waits for it, so a forge that is slow or unreachable delays no claim.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.core.leadership.budget import LEADER_SHARE
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.ports import Oid
from gitcoord.node.config import effective
from gitcoord.node.guards import describe_error
from gitcoord.node.membership.shared_remote import profile_for
from gitcoord.node.node import Node
from gitcoord.node.remotes import ledger_mirror, relocation
from gitcoord.node.remotes.ledger_mirror import MirrorRecord
from gitcoord.store.git import local_repo
from gitcoord.store.git import url as git_url

INTERVAL_S = 1.0  # for a host that does not limit pushes
CHECK_S = 0.5  # between two checks whether a push is due
END_S = 5.0  # how long a running push may delay the end of the process


def interval_s(host: str) -> float:
    """Return the seconds between two pushes to a host with the timing profile `host`. Half of its push budget is
    left to people."""
    rate = PROFILES[host].pushes_per_minute
    return INTERVAL_S if rate is None else 60 / (rate * LEADER_SHARE)


class MirrorWriter:
    """The mirror of one process. `agent run` calls it between two rounds; all processes of the node share a record."""

    agent = ""  # it belongs to no single agent
    busy = False  # a visit (`--once`) does not wait for the forge

    def __init__(self, node: Node, *, say: Callable[[str, str], None]) -> None:
        self.node, self.say = node, say
        self.common = node.home.path.parent
        self._thread: threading.Thread | None = None
        self._result = MirrorRecord()
        self._next_check_s = 0.0
        self._host = ("", "")  # a remote, and the name of the timing profile for its host
        self._reported = ""

    def is_due(self, now_s: float) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def step(self, now_s: float) -> bool:
        """Begin a push if one is due and an agent of this process leads, or record one that has ended."""
        if self._thread is not None:
            if not self._thread.is_alive():
                self._conclude()
            return False
        if now_s < self._next_check_s:
            return False
        self._next_check_s = now_s + CHECK_S
        wanted = effective(self.node.home, os.environ).mirror
        tip = self.node.home.tip
        if not wanted or tip is None or self.node.local.leading(self.node.fleet.terms) is None:
            return False
        known = self._known(wanted)
        if tip == known.tip and not known.problem:
            return False
        if self._host[0] != wanted:
            self._host = wanted, profile_for(self.common, wanted)
        pause_s = ledger_mirror.wait_s(known, interval_s=interval_s(self._host[1]))
        if 0 <= time.time() - known.tried_s < pause_s:
            return False
        self.node.store.complete()  # a newcomer has the newest commits only, but a push needs the whole history
        self._begin(wanted, tip, known)
        return False

    def _known(self, wanted: str) -> MirrorRecord:
        known = ledger_mirror.read(self.node.home.path)
        return known if known.remote == wanted else MirrorRecord(wanted)

    def _begin(self, wanted: str, tip: Oid, known: MirrorRecord) -> None:
        self._result = known
        # Recorded BEFORE the push, so that a process that is killed and restarted does not push more often.
        ledger_mirror.save(self.node.home.path, replace(known, tried_s=time.time()))
        self._thread = threading.Thread(target=self._push, args=(wanted, tip, known), daemon=True)
        self._thread.start()

    def _push(self, wanted: str, tip: Oid, known: MirrorRecord) -> None:
        """Push in a thread of its own, from a store of its own on the same objects."""
        ref = self.node.config.mirror_ref
        url = local_repo.remote_url(self.common, wanted) or wanted
        here = relocation.url_of(self.node, self.node.config.remote)
        try:
            if not git_url.is_local(here) and relocation.sends_token(here, url):
                raise Refused(
                    "the token in GITCOORD_TOKEN is for the shared remote, and is not sent to another server: let "
                    "git's credential helper know the mirror's login instead"
                )
            with closing(self.node.store.beside(url)) as store:
                self._result = ledger_mirror.mirror(store, store, ref, tip, known, now_s=time.time())
        except Exception as wrong:  # of the network, or of a disk: the ledger goes on without its mirror
            words = str(wrong) if isinstance(wrong, GitcoordError) else describe_error(wrong)
            self._result = replace(known, tried_s=time.time(), problem=words, failures=known.failures + 1)

    def _conclude(self) -> None:
        self._thread = None
        ledger_mirror.save(self.node.home.path, self._result)
        if self._result.problem != self._reported:
            self._reported = self._result.problem
            self.say("mirror", f"the mirror at {self._result.remote}: {self._reported or 'resolved, going on'}")

    def ask_to_end(self) -> None:
        """Do nothing: `end` waits for the push, which takes seconds."""

    def end(self) -> None:
        if self._thread is not None:
            self._thread.join(END_S)
            if not self._thread.is_alive():
                self._conclude()
