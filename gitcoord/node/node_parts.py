"""The parts of a node that the modules below it use. `Node` has them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.leadership.budget import Budget
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.round.replica import Replica
from gitcoord.core.round.results import Report
from gitcoord.node.keyring import Keyring
from gitcoord.node.private_store import Store
from gitcoord.store.home.durable_state import NodeDisk
from gitcoord.store.home.home import Home


class NodeParts(Protocol):
    """A node, as delivery, the driver and peers see it."""

    home: Home
    store: Store
    disk: NodeDisk
    keyring: Keyring
    local: LocalSessions
    budget: Budget
    rng: random.Random
    pause: Callable[[float], None]
    tell: Callable[[str, str], None]
    round_trip_s: float
    waited_s: float

    @property
    def replica(self) -> Replica: ...

    @property
    def fleet(self) -> FleetState: ...

    def sync(self, *, tick: bool = True, lock_timeout_s: float = 60.0, urgent: bool = False) -> Report: ...
