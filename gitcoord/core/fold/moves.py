"""Moves: an admin takes the fleet to another remote. Between leaving and arriving nothing is sequenced.

The ledger is the same on both remotes up to the line that leaves. At the old one it ends there, and names the new one;
at the new one the next line is the arrival. So the lines themselves tell a node at which of the two it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from gitcoord.core.fields import NAMED, Payload
from gitcoord.core.fold.authority import ADMIN, Who
from gitcoord.core.format.event import Event

_USER, _HOST = r"(?:[A-Za-z0-9][A-Za-z0-9._-]*@)?", r"[A-Za-z0-9][A-Za-z0-9.-]*"
_FORMS = (
    rf"https://{_HOST}(?::\d+)?/[^\s?#]+",
    r"http://(?:localhost|127\.0\.0\.1)(?::\d+)?/[^\s?#]+",
    rf"ssh://{_USER}{_HOST}(?::\d+)?/[^\s?#]+",
    rf"{_USER}{_HOST}:(?:/?[^:/\s?#][^\s?#]*)",  # as scp writes it
    r"(?:file://)?/[^/][^\n]*",  # a folder of one machine
)
Address = Annotated[str, Field(max_length=500, pattern=rf"^(?:{'|'.join(_FORMS)})$"), NAMED]
"""Where a remote is. It holds no login, and no way by which git would run a command (`ext::`, a leading `-`)."""


class FleetMoved(Payload):
    """An admin moves the fleet to the remote `to`, for which the timings `profile` fit: the ledger ends here."""

    to: Address
    profile: Literal["local", "lan", "github"]


class FleetArrived(Payload):
    """An admin opens the ledger again where it was moved to, or where it was: `re` names the move."""


EVENTS: dict[str, type[BaseModel]] = {"fleet_moved": FleetMoved, "fleet_arrived": FleetArrived}
AUTHORITY: Mapping[str, Who] = {"fleet_moved": ADMIN, "fleet_arrived": ADMIN}


@dataclass(slots=True)
class Moves:
    """The fleet's newest move."""

    uid: str = ""
    to: str = ""
    by: str = ""
    position: int = 0
    profile: str = ""  # timings that fit the remote where the fleet is, or is going; "": those that it began with
    under_way: bool = False  # the ledger ends here until the fleet arrives

    def rejects(self, event: Event, payload: BaseModel | None) -> str | None:
        """Return why a line has no effect because of a move; None otherwise. Change nothing."""
        if isinstance(payload, FleetMoved) and self.under_way:
            return f"the fleet is moving to {self.to} since position {self.position}"
        if isinstance(payload, FleetArrived) and not (self.under_way and event.re == self.uid):
            return "no such move is under way"
        return None

    def fold(self, position: int, event: Event, payload: BaseModel | None) -> None:
        """Apply a line that `rejects` accepted."""
        if isinstance(payload, FleetMoved):
            self.uid, self.to, self.by, self.position = event.uid, payload.to, event.actor, position
            self.profile, self.under_way = payload.profile, True
        elif isinstance(payload, FleetArrived):
            self.under_way = False

    def dump(self) -> Any:
        return asdict(self)

    @classmethod
    def load(cls, value: Any) -> Moves:
        """Return what `dump` wrote. Raise TypeError for anything else."""
        moves, empty = cls(**value), cls()
        for name, found in asdict(moves).items():
            if type(found) is not type(getattr(empty, name)):
                raise TypeError(f"`{name}` is {found!r}")
        return moves
