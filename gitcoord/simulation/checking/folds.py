"""Folds: whoever took the same commits in the same order knows the same, so within a schedule each is folded once.

The fold is the product's own. What is saved is to do it again on every machine, after every crash and in every copy.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gitcoord.core.feature import dump, load
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.occasions import Occasions
from gitcoord.core.format.event import Event
from gitcoord.core.ledger.branch import BadLine, LedgerBranch
from gitcoord.core.ledger.log_files import Log
from gitcoord.core.ports import Objects, Oid, TreeEntry


@dataclass(frozen=True, slots=True)
class Fold:
    """What a branch knows after some commits. Never changed: a branch that goes on from here does so on a copy."""

    number: int
    fleet: FleetState
    log: Log
    root: dict[str, TreeEntry]
    damaged: bool
    damages: int
    bad: list[BadLine]
    reported: set[tuple[bytes, str]]


Folds = dict[tuple[int, Oid], Fold]
"""By the number of the fold before (0: nothing was read yet), and the commit taken then."""


class SharedBranch(LedgerBranch):
    """A branch that takes each commit as another one took it that knew the same."""

    def __init__(self, objects: Objects, fleet: FleetState, folds: Folds) -> None:
        super().__init__(objects, fleet)
        self._folds = folds
        self._number = 0

    def apply_commit(self, commit: Oid, *, known: Mapping[bytes, Event | None] | None = None) -> None:
        key = (self._number, commit)
        fold = self._folds.get(key)
        if fold is None:
            fold = self._folds[key] = self._taken(commit, known)
        self.objects.commit(commit)  # what was not fetched cannot be read, whoever else read it
        self._number, self.tip = fold.number, commit
        self.fleet, self.log, self.root, self.bad = fold.fleet, fold.log, fold.root, list(fold.bad)  # notes are its own
        self.damaged, self.damages, self._reported = fold.damaged, fold.damages, set(fold.reported)

    def _taken(self, commit: Oid, known: Mapping[bytes, Event | None] | None) -> Fold:
        self.fleet, self.bad, self._reported = _copied(self.fleet), list(self.bad), set(self._reported)
        super().apply_commit(commit, known=known)
        return Fold(
            len(self._folds) + 1, self.fleet, self.log, self.root, self.damaged, self.damages, self.bad, self._reported
        )


def _copied(fleet: FleetState) -> FleetState:
    """A fleet of its own, that may go on. By hand: `copy` takes as long as a fold."""
    other = object.__new__(FleetState)
    vars(other).update(vars(fleet))
    other.chains, other.positions = fleet.chains.fork(), dict(fleet.positions)
    other.refusals, other.voids = dict(fleet.refusals), fleet.voids.copy()
    other.occasions = Occasions(dict(fleet.occasions.done), dict(fleet.occasions.tried))
    tallies = {agent: replace(tally) for agent, tally in fleet.quotas.tallies.items()}
    other.quotas = replace(fleet.quotas, tallies=tallies, muted=dict(fleet.quotas.muted))
    other.places = fleet.places.copy()
    by_id = {id_: copy.copy(member) for id_, member in fleet.members.by_id.items()}
    other.members = replace(
        fleet.members,
        by_id=by_id,
        owners=dict(fleet.members.owners),
        expected=dict(fleet.members.expected),
        revoked=dict(fleet.members.revoked),
    )
    other.revocations, other.time = copy.deepcopy(fleet.revocations), copy.deepcopy(fleet.time)
    other.terms = replace(fleet.terms)
    other.states = {name: load(one, dump(one, fleet.states[name])) for name, one in fleet.features.items()}
    return other
