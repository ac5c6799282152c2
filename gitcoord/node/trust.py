"""Trust: how much of the ledger this clone has folded itself, and whether it still begins with others' checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from gitcoord.store.files import write_durably
from gitcoord.store.home import Home

FILE = "verified.json"


@dataclass(frozen=True, slots=True)
class Trust:
    """`position`: of the last event up to which `verify` found nothing. `believes`: no checkpoint was a lie yet."""

    position: int = 0
    believes: bool = True


def read(home: Home) -> Trust:
    """What is written down; an unreadable file is none."""
    try:
        value = json.loads((home.path / FILE).read_bytes())
        return Trust(int(value["position"]), bool(value["believes"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return Trust()


def note(home: Home, trust: Trust) -> None:
    write_durably(home.path / FILE, json.dumps(asdict(trust)).encode() + b"\n")
