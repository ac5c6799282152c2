"""Trust: how much of the ledger this clone has folded itself, and whether it still begins with others' checkpoints."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.keys import fingerprint
from gitcoord.core.ledger import anchors as anchor
from gitcoord.core.ledger.anchors import Anchors
from gitcoord.store.files import write_durably
from gitcoord.store.home.home import Config, Home

FILE = "verified.json"


@dataclass(frozen=True, slots=True)
class Trust:
    """`position`: of the last event up to which `verify` found nothing. `accepts_checkpoints`: no checkpoint was a
    lie yet."""

    position: int = 0
    accepts_checkpoints: bool = True


def anchors(config: Config) -> Anchors:
    """Return what this clone was given to go by: in the environment, else in its own file. Raises Refused."""
    return anchor.read(os.environ.get(anchor.VARIABLE, "") or config.trust)


def founder_of(fleet: FleetState) -> str:
    """Return the fingerprint of the key that founded the fleet: what to put into GITCOORD_TRUST elsewhere."""
    return fingerprint(fleet.members.founder_key) if fleet.members.founder_key else ""


def newest_of(fleet: FleetState) -> str:
    """Return `POSITION:DIGEST` of the log as it is known here: what else GITCOORD_TRUST may be; "" of an empty one."""
    return f"{fleet.position}:{fleet.digest}" if fleet.position else ""


def read(home: Home) -> Trust:
    """What is written down; an unreadable file is none."""
    try:
        value = json.loads((home.path / FILE).read_bytes())
        return Trust(int(value["position"]), bool(value["accepts_checkpoints"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return Trust()


def note(home: Home, trust: Trust) -> None:
    write_durably(home.path / FILE, json.dumps(asdict(trust)).encode() + b"\n")
