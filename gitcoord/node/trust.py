"""Trust: how much of the ledger this clone has folded itself, and whether it still accepts others' checkpoints."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.keys import fingerprint
from gitcoord.core.ledger import anchors as anchor
from gitcoord.core.ledger.anchors import Anchors
from gitcoord.store.files import write_durably
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config

FILE = "verified.json"


@dataclass(frozen=True, slots=True)
class Trust:
    """What this clone has verified: `verify` found nothing up to `position`. After a wrong checkpoint,
    `accepts_checkpoints` is False."""

    position: int = 0
    accepts_checkpoints: bool = True


def anchors(config: Config) -> Anchors:
    """Return the anchors that this clone was given, in the environment or in its file. Raise Refused if they are
    malformed."""
    return anchor.read(os.environ.get(anchor.VARIABLE, "") or config.trust)


def founder_of(fleet: FleetState) -> str:
    """Return the fingerprint of the key that founded the fleet: a value for GITCOORD_TRUST elsewhere."""
    return fingerprint(fleet.members.founder_key) if fleet.members.founder_key else ""


def newest_of(fleet: FleetState) -> str:
    """Return `POSITION:DIGEST` of the log as known here, another value for GITCOORD_TRUST; "" if the log is empty."""
    return f"{fleet.position}:{fleet.digest}" if fleet.position else ""


def read(home: Home) -> Trust:
    """Return the recorded trust; the default if the file is missing or unreadable."""
    try:
        value = json.loads((home.path / FILE).read_bytes())
        return Trust(int(value["position"]), bool(value["accepts_checkpoints"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return Trust()


def note(home: Home, trust: Trust) -> None:
    """Record the trust, durably."""
    write_durably(home.path / FILE, json.dumps(asdict(trust)).encode() + b"\n")
