"""The line cache: lines that outboxes offer, each parsed once and checked once, however many rounds show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import Event, parse_all

SLACK = 1000  # lines kept that no outbox offers any more, beyond twice those that are offered


@dataclass(slots=True)
class LineCache:
    """Offered lines, each with its event; None if the line holds none."""

    parsed: dict[bytes, Event | None] = field(default_factory=dict)  # well formed
    checked: dict[bytes, Event | None] = field(default_factory=dict)  # of those, rightly signed as well

    def parse(self, line: bytes) -> Event | None:
        """Return the event in a line; None if it is not well formed."""
        if line not in self.parsed:
            self.parsed[line] = next(iter(parse_all([line])), None)
        return self.parsed[line]

    def check(self, line: bytes, fleet: FleetState) -> Event | None:
        """Return the event in a line; None if it is not well formed and rightly signed."""
        if fleet.id is None:
            return None  # no signature can be checked before the fleet is known
        if line not in self.checked:
            event = self.parse(line)
            self.checked[line] = event if event and _is_signed(fleet, event) else None
        return self.checked[line]

    def verified(self) -> Mapping[bytes, Event | None]:
        """Return the checked lines, for a fold that need not check them again."""
        return self.checked

    def forget(self, keep: Iterable[bytes]) -> None:
        """Drop lines that no outbox offers any more, if there are many."""
        offered = set(keep)
        if len(self.parsed) > 2 * len(offered) + SLACK:
            self.parsed = {line: event for line, event in self.parsed.items() if line in offered}
            self.checked = {line: event for line, event in self.checked.items() if line in offered}


def _is_signed(fleet: FleetState, event: Event) -> bool:
    try:
        fleet.check_signature(event)
    except Inadmissible:
        return False
    return True
