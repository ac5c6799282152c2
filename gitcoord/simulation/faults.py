"""Faults: what may go wrong, each with a rate that the seed draws. Some schedules have few of them, some all."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

FAULTS: dict[str, str] = {
    "lost": "a request that never arrives, an answer that never comes back",
    "late": "a push that is applied after its client gave up",
    "delay": "an answer that takes seconds",
    "partition": "some nodes are cut off for a while",
    "pause": "a process stops between its fetch and its push",
    "crash": "a process dies at any effect or any write, and starts again from what was synced",
    "death": "a machine is gone forever",
    "clock": "clocks run at different rates and show different times",
    "suspend": "a machine sleeps for minutes",
    "torn": "refs read at different moments",
    "refused": "the host refuses a request because of its rate limit",
    "copy": "a clone is copied, and both are used",
    "restore": "a machine goes on from an old backup of its disk",
    "rollback": "the remote is set back to an older state",
    "cas": "one compare-and-swap with two winners",
    "liar": "a node sequences forged, doubled or re-ordered lines",
    "image": "a machine is copied while it runs, memory and all, and the image resumed, perhaps minutes later",
    "deleted": "an outbox is deleted on the remote, also that of a machine just restored",
    "rush": "all machines write at the same moment",
    "hostile": "a member with a valid key signs, sequences and overwrites whatever it likes",
}
BESIDE_HOSTILE = frozenset(
    {"hostile", "lost", "late", "delay", "partition", "pause", "crash", "clock", "suspend", "torn", "refused", "rush"}
)
"""Faults that may happen beside a hostile member. The others break promises, and would hide what the member breaks."""
ALONE_SHARE = 0.3  # of the schedules with a hostile member: no other fault causes delays, so all bounds are checked
NO_DELAY = frozenset({"hostile", "clock", "rush"})
HOSTILE_SHARE = 0.3  # of the schedules that draw a hostile member: the features that it attacks take time to fold


@dataclass(frozen=True, slots=True)
class Weather:
    """The rates of one schedule's faults. A class that is not in `on` never happens."""

    on: frozenset[str] = frozenset()
    rates: dict[str, float] = field(default_factory=dict)

    def rate(self, name: str) -> float:
        """Return the probability per occasion, from 0 to 1; 0 if the class is off."""
        return self.rates[name] if name in self.on else 0.0


MOST = {
    "lost": 0.2,
    "late": 0.1,
    "delay": 0.4,
    "pause": 0.1,
    "crash": 0.05,
    "suspend": 0.02,
    "torn": 0.5,
    "refused": 0.15,
}


def draw(
    seed: int, *, only: Collection[str] | None = None, without: Collection[str] = (), hostile: bool = False
) -> Weather:
    """Return the weather of a seed. `only` and `without` remove classes and leave the other rates as they were.

    `hostile`: add a hostile member, whatever the seed draws.
    """
    rng = random.Random(f"{seed}/weather")
    rates, on = {}, set()
    calm = rng.random()  # the share of classes that are off
    for name in FAULTS:
        rates[name] = rng.random() ** 2 * MOST.get(name, 1.0)
        if rng.random() > calm or only is not None:
            on.add(name)
    invited = hostile or ("hostile" in on and rng.random() < HOSTILE_SHARE)
    if only is None:
        beside = NO_DELAY if rng.random() < ALONE_SHARE else BESIDE_HOSTILE
        on = (on | {"hostile"}) & beside if invited else on - {"hostile"}
    if only is not None:
        on &= set(only)
        rates |= {name: max(rates[name], MOST.get(name, 1.0) / 4) for name in only}
    return Weather(frozenset(on - set(without)), rates)
