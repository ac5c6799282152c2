"""What the simulator found in the protocol, each as a plain story that must not come true again."""

from __future__ import annotations

from tests.core.driver import World


def test_a_leader_that_asks_to_lead_on_shows_itself_to_the_others() -> None:
    """Seed 115: it took a batch along without a line of its own, acted again, and was deposed meanwhile."""
    world = World()
    alice = world.machine("alice", runs=True)
    world.settle()
    assert alice.leads
    alice.session.claims = False
    alice.say("something that waits")
    signs = alice.fleet.terms.signs
    alice.round()
    assert alice.session.claims and alice.crew.act_until_s > world.now_s
    assert alice.fleet.terms.signs > signs
