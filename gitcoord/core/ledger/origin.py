"""Origin: the fleet of a ledger, by the line that its first commit begins with. Anyone who may push can write any."""

from __future__ import annotations

from gitcoord.core import limits
from gitcoord.core.errors import Oversized
from gitcoord.core.format.event import FOUNDING, fleet_id_of, parse
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.ledger.log_files import SEALED, LogFiles
from gitcoord.core.ledger.trees import root_of
from gitcoord.core.ports import Objects, Oid


def fleet_of(objects: Objects, tip: Oid) -> str | None:
    """Return the id of the fleet whose ledger ends at `tip`. None: it begins with no line that founds a fleet.

    The newest tree does not tell: below it may lie what no reader can walk.
    """
    try:
        commits = objects.first_parents(tip, stop=None, limit=limits.COMMITS_MAX)
    except Oversized:
        return None
    files = LogFiles(objects)
    listing = files.listing(root_of(objects, commits[0]))
    line = next((file.lines[0] for file in files.files(listing) if file.lines), b"")
    try:
        return fleet_id_of(line) if parse(line).type == FOUNDING else None
    except Malformed:
        return None


def is_some_ledger(objects: Objects, tip: Oid) -> bool:
    """Return whether a ledger may lie there, perhaps one of a later version: its files begin with `events` in all."""
    try:
        return any(name.startswith(SEALED) for name in root_of(objects, tip))
    except Oversized:
        return False
