"""Joining: what a newcomer learns from the newest commits of a ledger, before it is a node of its fleet."""

from __future__ import annotations

import contextlib

from gitcoord.core import checkpoint, limits
from gitcoord.core.branch import Branch
from gitcoord.core.event import Head
from gitcoord.core.fleet import Fleet, Inadmissible
from gitcoord.core.log_files import LogFiles
from gitcoord.core.members import FleetFounded
from gitcoord.core.ports import Objects, Oid
from gitcoord.core.trees import root_of
from gitcoord.features import FEATURES


def card_of(objects: Objects, tip: Oid) -> FleetFounded | None:
    """What the ledger's first line says; where somebody has spoilt the newest tree, the line that was pushed first."""
    files = LogFiles(objects)
    first = next(files.files(files.listing(root_of(objects, tip))))
    fleet = Fleet(FEATURES)
    with contextlib.suppress(Inadmissible):
        fleet.take(b"".join(first.lines[:1]))
        return fleet.members.founded
    branch = Branch(objects, Fleet(FEATURES))
    branch.absorb(objects.first_parents(tip, stop=None, limit=limits.COMMITS_MAX)[0])
    return branch.fleet.members.founded


def chain_of(objects: Objects, tip: Oid, node: str) -> Head:
    """Where the chain of `node` stands in the ledger."""
    branch = Branch(objects, Fleet(FEATURES))
    checkpoint.start(branch, tip)
    branch.absorb(tip)
    return branch.fleet.heads.get(node, Head())
