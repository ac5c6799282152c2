"""Apart: the ledger comes by itself, then the outboxes, so that one that cannot be brought fails alone, and is named.

A member's outbox of a few megabytes may unpack to gigabytes. Each fetch has bounds, and a ref that does not fit into
them is left alone for a while, longer each time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from gitcoord.core.errors import Unreachable
from gitcoord.store import git_words
from gitcoord.store.git_backoff import Backoff
from gitcoord.store.git_process import Bounds, Result
from gitcoord.store.git_transport import Transport

MIB = 1024 * 1024
# An outbox that others read has 16 MiB of lines; to unpack them takes a tenth of a second.
ONE_OUTBOX = Bounds(file_bytes=64 * MIB, memory_bytes=512 * MIB, cpu_s=5)
TOGETHER = Bounds(file_bytes=1024 * MIB, memory_bytes=512 * MIB, cpu_s=10)
# A ledger grows for years: ten million events are 2 GiB. None of its objects comes near the limit of memory.
LEDGER = Bounds(file_bytes=16 * 1024 * MIB, memory_bytes=2048 * MIB)

OUTBOXES_AT_ONCE = 16  # while it is sought which one is bad
LEDGER_FAILS_MAX = 3  # its pauses grow to 40 s and no longer: nothing goes on without it
STRANGERS = "*"  # in the backoff: outboxes of nodes that the log does not know, of which anybody can make more


class Apart:
    """Brings chosen refs into the mirror. `outboxes`: what the names of their refs begin with."""

    def __init__(self, transport: Transport, backoff: Backoff, ledger_ref: str, outboxes: str) -> None:
        self._transport = transport
        self._backoff = backoff
        self._ledger_ref = ledger_ref
        self._outboxes = outboxes

    def bring_ledger(self, more: Sequence[str]) -> None:
        """Bring the ledger. Raise Unreachable where that cannot be done: nothing goes on without it."""
        pause = self._backoff.paused().get(self._ledger_ref)
        if pause is not None:
            raise Unreachable(pause.why)
        result = self._transport.bring([self._ledger_ref], LEDGER, *more)
        if more and result.status and not result.timed_out:  # a server that cannot count commits
            result = self._transport.bring([self._ledger_ref], LEDGER)
        if not result.status:
            self._backoff.succeeded(self._ledger_ref)
            return
        self._transport.raise_trouble(result)
        why = (
            f"the ledger ({self._ledger_ref}) of {self._transport.name()} cannot be brought here: "
            f"{self._why(result, self._transport.timeout_s)}. If the network is slow, set GITCOORD_TIMEOUT_S higher; "
            "if somebody pushed to it what is no log, let the remote's owner set it back to a commit that `gitcoord "
            "status` of another clone shows"
        )
        self._backoff.failed(self._ledger_ref, why, fails_max=LEDGER_FAILS_MAX)
        raise Unreachable(why)

    def bring(self, refs: Sequence[str], first: Collection[str], more: Sequence[str]) -> dict[str, str]:
        """Bring outboxes; return those that stay on the remote, and why. `first`: nodes that come before the others."""
        deadline_s = time.monotonic() + self._transport.timeout_s
        paused, left = self._backoff.paused(), {}
        known = [ref for ref in refs if ref.removeprefix(self._outboxes) in first]
        strangers = [ref for ref in refs if ref.removeprefix(self._outboxes) not in first]
        for boxes, what in ((known, ""), (strangers, STRANGERS)):
            going = []
            for ref in boxes:
                pause = paused.get(ref) or paused.get(what)
                if pause is None:
                    going.append(ref)
                else:
                    left[ref] = pause.why
            for start in range(0, len(going), OUTBOXES_AT_ONCE):
                group = going[start:start + OUTBOXES_AT_ONCE]
                if time.monotonic() < deadline_s:
                    left |= self._bring_group(group, what, more)
                else:
                    left |= dict.fromkeys(group, "others took all the time that a fetch may take")
            if what and going and not left.keys() & set(going):
                self._backoff.succeeded(what)
        return left

    def _bring_group(self, group: Sequence[str], what: str, more: Sequence[str]) -> dict[str, str]:
        if len(group) > 1:
            patience_s = self._transport.timeout_s / 2
            result = self._transport.bring(group, TOGETHER, *more, timeout_s=patience_s)
            if not result.status:
                for ref in group:
                    self._backoff.succeeded(ref)
                return {}
            self._transport.raise_trouble(result)
        left = {}
        for ref in group:
            why = self._bring_one(ref, more)
            if why:
                left[ref] = why
                for one in filter(None, (ref, what)):
                    self._backoff.failed(one, why if one == ref else f"{ref} could not be brought, and its node is "
                                         "unknown to the log: outboxes of such nodes wait")
        return left

    def _bring_one(self, ref: str, more: Sequence[str]) -> str:
        """Bring an outbox. Why it cannot be brought; nothing where it is here, or is gone from the remote."""
        patience_s = self._transport.timeout_s / 4
        result = self._transport.bring([ref], ONE_OUTBOX, *more, timeout_s=patience_s)
        if not result.status:
            self._backoff.succeeded(ref)
            return ""
        if git_words.is_gone(result.stderr):
            return ""
        self._transport.raise_trouble(result)
        return self._why(result, patience_s)

    @staticmethod
    def _why(result: Result, patience_s: float) -> str:
        if result.timed_out:
            return f"it took longer than {patience_s:g} s"
        said = git_words.words(result.stderr)
        return f"it is damaged, or larger than gitcoord takes ({said})" if said else "it is larger than gitcoord takes"
