"""GitHub's limits, kept by the whole fleet: each session reports its use in its heartbeats, and counts the others'.

GitHub limits an account to 5,000 requests an hour (a workflow's token: 1,000), and to 80 writes a minute and 500 an
hour. A client that goes on at a limit may be blocked, so all sessions keep a distance.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core.format.event import Event
from gitcoord.github.api.models import Quota

WRITES_PER_MINUTE = 60  # of 80, because others' heartbeats are some seconds old
WRITES_PER_HOUR = 400  # of 500
MINUTE_S, HOUR_S = 60.0, 3600.0
RESERVE = 50  # requests that reviews leave to people and to other programs of the same account


@dataclass(slots=True)
class Meter:
    """This process's use of its account's limits, and the others' use as their heartbeats report it."""

    clock_s: Callable[[], float] = time.monotonic
    account: str = ""  # GitHub counts by account; its name is public, so heartbeats may have it
    quota: Quota | None = None
    _writes: deque[float] = field(default_factory=deque)
    _others: tuple[int, int] = (0, 0)  # writes of others with this account: in a minute, in an hour

    def wrote(self) -> None:
        """Count one write."""
        self._writes.append(self.clock_s())

    def used(self) -> tuple[int, int]:
        """Return this process's writes in the last minute, and in the last hour."""
        now_s = self.clock_s()
        while self._writes and now_s - self._writes[0] >= HOUR_S:
            self._writes.popleft()
        return sum(1 for at_s in self._writes if now_s - at_s < MINUTE_S), len(self._writes)

    def heartbeat_fields(self) -> Mapping[str, Any]:
        """Return the fields for a heartbeat; empty before the first request."""
        if self.quota is None and not self._writes:
            return {}
        minute, hour = self.used()
        fields: dict[str, Any] = {"account": self.account, "writes": [minute, hour]}
        if self.quota is not None:
            fields |= {"left": self.quota.left, "reset": int(self.quota.reset_at)}
        return {"github": fields}

    def heard(self, heartbeats: Iterable[Event], own_sessions: Iterable[str] = ()) -> None:
        """Count the use in the others' newest heartbeats, without our own sessions'. Malformed fields are ignored."""
        own = set(own_sessions)
        minute = hour = 0
        for heartbeat in heartbeats:
            fields = heartbeat.data.get("github")
            if not isinstance(fields, Mapping) or fields.get("account") != self.account:
                continue
            if heartbeat.data.get("session") in own or heartbeat.data.get("state") != "alive":
                continue
            writes = fields.get("writes")
            if isinstance(writes, Sequence) and len(writes) == 2 and all(type(n) is int and n >= 0 for n in writes):
                minute, hour = minute + min(writes[0], WRITES_PER_MINUTE), hour + min(writes[1], WRITES_PER_HOUR)
        self._others = (minute, hour)

    def wait_s(self) -> float:
        """Return the seconds until the account's limits permit the next write; 0 if they do now."""
        waits = [0.0]
        for length_s, most, others in (
            (MINUTE_S, WRITES_PER_MINUTE, self._others[0]),
            (HOUR_S, WRITES_PER_HOUR, self._others[1]),
        ):
            waits.append(self._until_room_s(length_s, most - others))
        return max(waits)

    def _until_room_s(self, length_s: float, room: int) -> float:
        """Return the seconds until fewer than `room` of our writes are within the last `length_s`."""
        now_s = self.clock_s()
        recent = [at_s for at_s in self._writes if now_s - at_s < length_s]
        if len(recent) < room:
            return 0.0
        if room <= 0:
            return length_s  # the others use all of it; by then, their writes no longer count
        return recent[len(recent) - room] + length_s - now_s

    def is_scarce(self) -> bool:
        """Return whether so few requests are left that reviews must wait."""
        return self.quota is not None and self.quota.left < RESERVE and time.time() < self.quota.reset_at
