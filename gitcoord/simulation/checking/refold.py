"""The ledger folded again by a newcomer, which must get the same state, in a bounded number of steps for each event.

On the way, this reader dumps its fold and loads it again, as a cache and a checkpoint do, and counts the steps of each
event of the hostile member.
"""

from __future__ import annotations

import json

from gitcoord.core import limits
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Event
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.simulation.hostile.steps import steps
from gitcoord.simulation.world import World

WRITTEN_DOWN_ONE_IN = 30  # the fold is dumped and loaded after one commit in so many
STEPS_MAX = 50_000  # of one event; measured: 4,000. `tests/features/test_costs.py` has the bound at a full state


class Counting(FleetState):
    """A fold that counts the steps for events of hostile agents.

    To count for all events would take 50 times as long.
    """

    world: World | None = None

    def apply(self, event: Event) -> SequencedEvent:
        world, recorded = self.world, list[SequencedEvent]()
        if world is None or world.is_honest(event.actor, event.key):
            return super().apply(event)
        fold = super().apply
        count = steps(lambda: recorded.append(fold(event)))
        if count > STEPS_MAX:
            world.fail(f"to fold event {event.uid[:6]} ({event.type}) takes {count} steps; {STEPS_MAX} is the bound")
        return recorded[0]


def check(world: World) -> None:
    """Raise Violation unless a newcomer that reads all commits has the state of the machines that followed them."""
    at_tip = [
        machine.replica.branch.fleet
        for machine in world.machines
        if not machine.dead and machine.replica.branch.tip == world.tip
    ]
    if not at_tip:
        return
    dice = world.dice("refold")
    branch = LedgerBranch(world.god, _counting(world, Counting(world.features, world.signers.verifier)))
    for commit in world.god.first_parents(world.tip, stop=None, limit=limits.COMMITS_MAX):
        branch.apply_commit(commit)
        if dice.random() < 1 / WRITTEN_DOWN_ONE_IN:
            value = json.loads(json.dumps(branch.fleet.dump(), allow_nan=False))
            branch.fleet = _counting(world, Counting.load(value, world.features, world.signers.verifier))
    if json.dumps(branch.fleet.dump()) != json.dumps(at_tip[0].dump()):
        world.fail("a newcomer that folds the ledger has another state than those who followed it")


def _counting(world: World, fleet: FleetState) -> FleetState:
    assert isinstance(fleet, Counting)
    fleet.world = world
    return fleet
