"""Isolated fetches: the ledger is fetched alone, then the outboxes, so that a bad outbox fails alone, and is named.

A member's outbox of a few megabytes may unpack to gigabytes. Each fetch has bounds, and a ref that exceeds them is
paused, longer each time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from gitcoord.core.errors import Unreachable
from gitcoord.store.git import git_output
from gitcoord.store.git.backoff import Backoff
from gitcoord.store.git.process import Bounds, GitResult
from gitcoord.store.git.transport import Transport

MIB = 1024 * 1024
# An outbox that others read has 16 MiB of lines; to unpack them takes a tenth of a second.
ONE_OUTBOX = Bounds(file_bytes=64 * MIB, memory_bytes=512 * MIB, cpu_s=5)
TOGETHER = Bounds(file_bytes=1024 * MIB, memory_bytes=512 * MIB, cpu_s=10)
# A ledger grows for years: ten million events are 2 GiB. None of its objects needs nearly as much memory.
LEDGER = Bounds(file_bytes=16 * 1024 * MIB, memory_bytes=2048 * MIB)

GROUPS = (200, 16, 1)  # outboxes in one fetch: smaller groups in the search for the bad one
LEDGER_FAILS_MAX = 3  # the ledger's pauses are at most 40 s, because nothing goes on without it
STRANGERS = "*"  # in the backoff: all outboxes of nodes that the log does not know; anybody can make more of them


class IsolatedFetch:
    """Fetches chosen refs into the mirror. `outboxes` is the prefix of the outboxes' refs."""

    def __init__(self, transport: Transport, backoff: Backoff, ledger_ref: str, outboxes: str) -> None:
        self._transport = transport
        self._backoff = backoff
        self._ledger_ref = ledger_ref
        self._outboxes = outboxes

    def fetch_ledger(self, more: Sequence[str]) -> None:
        """Fetch the ledger, with `more` options for git. Raise Unreachable if that fails: a round needs it."""
        pause = self._backoff.paused().get(self._ledger_ref)
        if pause is not None:
            raise Unreachable(pause.why)
        result = self._transport.fetch([self._ledger_ref], LEDGER, *more)
        if more and result.status and not result.timed_out:  # a server that cannot count commits
            result = self._transport.fetch([self._ledger_ref], LEDGER)
        if not result.status:
            self._backoff.succeeded(self._ledger_ref)
            return
        self._transport.raise_trouble(result)
        why = (
            f"the ledger ({self._ledger_ref}) of {self._transport.name()} cannot be fetched: "
            f"{self._why(result, self._transport.timeout_s)}. If the network is slow, set GITCOORD_TIMEOUT_S higher. "
            "If somebody pushed anything else to it, let the remote's owner set it back to a commit that `gitcoord "
            "status` of another clone shows"
        )
        self._backoff.failed(self._ledger_ref, why, fails_max=LEDGER_FAILS_MAX)
        raise Unreachable(why)

    def fetch_outboxes(self, refs: Sequence[str], first: Collection[str], more: Sequence[str]) -> dict[str, str]:
        """Fetch outboxes, with `more` options for git. Return those that could not be fetched, and why.

        `first` has the ids of the nodes that the log knows: their outboxes are fetched before the others.
        """
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
            left |= self._fetch_in_groups(going, GROUPS, what, more, deadline_s)
            if what and going and not left.keys() & set(going):
                self._backoff.succeeded(what)
        return left

    def _fetch_in_groups(
        self, refs: Sequence[str], sizes: Sequence[int], what: str, more: Sequence[str], deadline_s: float
    ) -> dict[str, str]:
        """Fetch as `fetch_outboxes` does, in groups of the first of `sizes`. Split a failing group by the next size."""
        left: dict[str, str] = {}
        for start in range(0, len(refs), sizes[0]):
            group = refs[start : start + sizes[0]]
            if time.monotonic() >= deadline_s:
                left |= dict.fromkeys(group, "other outboxes used up the time of this fetch")
            elif sizes[0] == 1:
                left |= self._fetch_one(group[0], what, more)
            elif len(group) <= sizes[1] or not self._fetch_group(group, more):
                left |= self._fetch_in_groups(group, sizes[1:], what, more, deadline_s)
        return left

    def _fetch_group(self, group: Sequence[str], more: Sequence[str]) -> bool:
        result = self._transport.fetch(group, TOGETHER, *more, timeout_s=self._transport.timeout_s / 2)
        if result.status:
            self._transport.raise_trouble(result)
            return False
        for ref in group:
            self._backoff.succeeded(ref)
        return True

    def _fetch_one(self, ref: str, what: str, more: Sequence[str]) -> dict[str, str]:
        """Fetch one outbox. Return its ref and why that failed; {} if it was fetched, or is gone from the remote."""
        patience_s = self._transport.timeout_s / 4
        result = self._transport.fetch([ref], ONE_OUTBOX, *more, timeout_s=patience_s)
        if not result.status:
            self._backoff.succeeded(ref)
        if not result.status or git_output.is_gone(result.stderr):
            return {}
        self._transport.raise_trouble(result)
        why = self._why(result, patience_s)
        self._backoff.failed(ref, why)
        if what:
            self._backoff.failed(
                what, f"{ref} could not be fetched, and the log does not know its node: outboxes of such nodes wait"
            )
        return {ref: why}

    @staticmethod
    def _why(result: GitResult, patience_s: float) -> str:
        if result.timed_out:
            return f"it took longer than {patience_s:g} s"
        reason = git_output.message_of(result.stderr)
        return f"it is damaged, or larger than permitted ({reason})" if reason else "it is larger than permitted"
