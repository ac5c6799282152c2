"""The ledger's card: what a newcomer learns from the newest commits, before it is a node of the fleet."""

from __future__ import annotations

from dataclasses import dataclass

from gitcoord.core import limits
from gitcoord.core.errors import Denied
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.fold.members import FleetFounded
from gitcoord.core.format.event import Head
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import LogFiles
from gitcoord.core.ledger.trees import root_of
from gitcoord.core.ports import Objects, Oid
from gitcoord.features import FEATURES


@dataclass(frozen=True, slots=True)
class Card:
    """The content of a fleet's first line."""

    fleet_id: str
    founded: FleetFounded


def card_of(objects: Objects, tip: Oid, *, ledger: str) -> Card:
    """Return the card in the first line of the newest tree or, if that tree is damaged, of the first commit.

    Raise Denied if the line founds no fleet that this version of gitcoord reads.
    """
    files = LogFiles(objects)
    first = next(files.files(files.listing(root_of(objects, tip))))
    fleet = FleetState(FEATURES)
    reason = ""
    try:
        fleet.append(b"".join(first.lines[:1]))
    except Inadmissible as wrong:
        branch = LedgerBranch(objects, FleetState(FEATURES))
        branch.apply_commit(objects.first_parents(tip, stop=None, limit=limits.COMMITS_MAX)[0])
        fleet, reason = branch.fleet, f" ({wrong})" if first.lines else ""
    if fleet.id is None or fleet.members.founded is None:
        raise Denied(
            f"{ledger} on this remote is no ledger that this version of gitcoord reads{reason}: "
            "name another remote, or use the version that wrote it"
        )
    return Card(fleet.id, fleet.members.founded)


def chain_of(objects: Objects, tip: Oid, node_id: str) -> Head:
    """Return the head of the chain of `node_id` in the ledger; an empty head if the ledger has no line of it."""
    branch = LedgerBranch(objects, FleetState(FEATURES))
    checkpoint.start(branch, tip)
    branch.apply_commit(tip)
    return branch.fleet.heads.get(node_id, Head())
