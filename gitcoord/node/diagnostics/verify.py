"""Verification without trust: the ledger is folded again from its first event, and every file beside it is compared.

A finding is something that no honest node could have written. A loser of an honest race has its place in the log, no
effect, and is only counted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import filelock

from gitcoord.core import limits
from gitcoord.core.errors import BadCredentials, Corrupt, Denied, Unreachable
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.trees import file_of, root_of
from gitcoord.core.ports import Oid
from gitcoord.core.round.replica import descends
from gitcoord.features.pages import board, card, snapshot
from gitcoord.node import fold_cache, ledger_pages, trust
from gitcoord.node.diagnostics.audited_state import AuditedState, VerifyFinding, VerifyReport
from gitcoord.node.node import Node

__all__ = ["VerifyFinding", "VerifyReport", "verify"]

LOCK_S = 10.0  # while another process of this node fetches; its result is used then


def verify(
    node: Node, *, since: int = 0, history: bool = False, progress: Callable[[int], None] = lambda position: None
) -> VerifyReport:
    """Fold the ledger again, and return what was found.

    Lines up to the position `since` are folded without checks. With `history`, every commit is read, not only the
    newest one. `progress` is called with the position that was reached.
    """
    started = time.monotonic()
    report = VerifyReport()
    tip = _newest_tip(node, report)
    if tip is not None:
        try:
            _Check(node, tip, report, since, progress).run(history)
        except Corrupt as wrong:
            report.add("object", f"commit {tip[:12]}", str(wrong))
        if not since:
            _remember(node, report)
    report.seconds = time.monotonic() - started
    return report


def _remember(node: Node, report: VerifyReport) -> None:
    """Record how far this clone has checked the ledger itself, and stop its use of checkpoints if one was wrong."""
    kinds = {finding.kind for finding in report.findings}
    before = trust.read(node.home)
    if "checkpoint" in kinds:
        trust.note(node.home, replace(before, accepts_checkpoints=False))
        fold_cache.drop(node.home)
        report.notes.append(
            "this clone will begin with no checkpoint again: restart `gitcoord agent run` if it runs here, "
            "so that it folds every event itself too"
        )
    elif not kinds:
        trust.note(node.home, replace(before, position=report.position))


def _newest_tip(node: Node, report: VerifyReport) -> Oid | None:
    """Return the tip of the remote's ledger after one fetch; the last one seen if the remote cannot be asked."""
    seen = node.home.tip
    try:
        with node.home.sync_lock.acquire(timeout=LOCK_S):
            tip = node.store.fetch().refs.get(node.config.ledger)
    except (Unreachable, BadCredentials, Denied, filelock.Timeout) as wrong:
        reason = "another process holds the lock" if isinstance(wrong, filelock.Timeout) else str(wrong)
        report.notes.append(f"the remote could not be asked ({reason}): verifying what is here")
        return seen
    if seen is not None and (tip is None or not descends(node.store, seen, tip)):
        report.add(
            "rollback",
            f"commit {(tip or 'none')[:12]}",
            f"the remote's ledger does not descend from the last one seen here, {seen[:12]}",
        )
    return tip or seen


class _Check:
    """One verification of one tip."""

    def __init__(self, node: Node, tip: Oid, report: VerifyReport, since: int, progress: Callable[[int], None]) -> None:
        self.node, self.tip, self.report, self.since, self.progress = node, tip, report, since, progress
        self.saved: dict[str, Any] | None = None

    def run(self, history: bool) -> None:
        before = list(self.report.findings), list(self.report.notes)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            pool: ThreadPoolExecutor | None = threads
            while True:
                self._read(history, pool)
                if pool is not None and not self.state.all_signed():
                    pool = None  # a signature is wrong: fold again, and check each one BEFORE its line is folded
                elif self.branch.damaged and not history:
                    history = True  # the newest tree is damaged: only earlier commits show what to trust
                else:
                    break
                self.report.findings[:], self.report.notes[:], self.report.races = *before, 0
        self._conclude()

    def _read(self, history: bool, pool: ThreadPoolExecutor | None) -> None:
        self.state = AuditedState(self.node.keyring.verifier(), self.report, self.since, self.progress, pool)
        self.branch = LedgerBranch(self.node.store, self.state)
        self._expect()
        commits = [self.tip]
        if history:
            commits = self.node.store.first_parents(self.tip, stop=None, limit=limits.COMMITS_MAX)
            self.report.commits = len(commits)
        with fold_cache.gc_paused():
            for commit in commits:
                self.branch.apply_commit(commit)
        state = self.branch.fleet  # a new object, if a key was revoked that had counted
        assert isinstance(state, AuditedState)
        self.state = state

    def _conclude(self) -> None:
        report = self.report
        for bad in self.branch.bad:
            report.add("line", bad.where, bad.reason)
        report.position = self.state.position
        if self.state.id != self.node.config.fleet_id:
            report.add(
                "fleet",
                f"commit {self.tip[:12]}",
                f"this is the ledger of fleet {self.state.id}; this clone belongs to {self.node.config.fleet_id}",
            )
        self._check_log_of_state()
        for position in sorted(self.state.comparisons):
            if position > report.position:
                report.add("snapshot", f"position {position}", "files beside the log claim to know more than the log")

    def _expect(self) -> None:
        """Note at which positions the files beside the log were made, to compare them when the fold gets there."""
        page = self._file(snapshot.COMMUNICATION)
        shown = snapshot.parse_position(page.decode("utf-8", "replace")) if page is not None else None
        if page is not None and shown is None:
            self.report.add("snapshot", snapshot.COMMUNICATION, "it does not say at which position it was made")
        if shown:
            self._at(shown, self._check_pages)
        if page is None or shown:
            self._at(shown or 1, self._check_card)
        self.saved = self._saved()
        if self.saved is not None:
            self._at(int(self.saved["position"]), self._check_state)

    def _at(self, position: int, compare: Callable[[AuditedState], None]) -> None:
        self.state.comparisons.setdefault(position, []).append(compare)

    def _saved(self) -> dict[str, Any] | None:
        data = self._file(checkpoint.PATH)
        if data is None:
            return None
        try:
            value: dict[str, Any] = json.loads(data)
            if value["schema"] == self.state.schema and type(value["position"]) is int and value["position"] > 0:
                return value
            if value["schema"] != self.state.schema:
                self.report.notes.append(f"{checkpoint.PATH} is of another version: it is not compared")
                return None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            pass
        self.report.add("checkpoint", checkpoint.PATH, "it is not a checkpoint")
        return None

    def _check_pages(self, state: AuditedState) -> None:
        entries = state.entries
        pages = ledger_pages.pages(state, ledger_pages.layout_of(state), lambda position: entries[position - 1])
        pages[board.BOARD] = board.markdown(state, lambda position: entries[position - 1].content).encode()
        for path, expected in pages.items():
            self._compare("snapshot", path, expected, state.position)

    def _check_card(self, state: AuditedState) -> None:
        self._compare("snapshot", ledger_pages.README, card.readme(state).encode(), state.position)

    def _compare(self, kind: str, path: str, expected: bytes, position: int) -> None:
        found = self._file(path)
        if found != expected:
            what = "it is missing" if found is None else "it differs from what the log gives"
            self.report.add(kind, path, f"{what} at position {position}")

    def _check_state(self, state: AuditedState) -> None:
        assert self.saved is not None
        saved = {name: part for name, part in self.saved.items() if name not in ("log", "signed")}
        if saved != json.loads(json.dumps(state.dump())):
            self.report.add(
                "checkpoint", checkpoint.PATH, f"it differs from the fold of the log at position {state.position}"
            )

    def _check_log_of_state(self) -> None:
        if self.saved is None or self.branch.damaged or int(self.saved["position"]) > self.state.position:
            return  # reported already
        try:
            log = checkpoint.log_of(self.branch, root_of(self.node.store, self.tip), self.saved)
        except checkpoint.InvalidCheckpoint as wrong:
            self.report.add("checkpoint", checkpoint.PATH, str(wrong))
        else:
            if log.counts != self.branch.log.counts[: len(log.counts)]:
                self.report.add(
                    "checkpoint", checkpoint.PATH, "its numbers of lines differ from those of the log files"
                )

    def _file(self, path: str) -> bytes | None:
        """Return the bytes of a file in the tip's tree; None if there is none."""
        return file_of(self.node.store, self.tip, path, bytes_max=limits.CHECKPOINT_BYTES_MAX)
