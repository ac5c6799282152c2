"""What the simulator found in the protocol, each as a plain story that must not come true again."""

from __future__ import annotations

from gitcoord.core.leadership.campaign import campaign
from tests.core.driver import World


def test_a_leader_that_asks_to_lead_on_shows_itself_to_the_others() -> None:
    """Seed 115: it took a batch along without a line of its own, acted again, and was deposed meanwhile."""
    world = World()
    alice = world.machine("alice", runs=True)
    world.settle()
    assert alice.leads
    alice.session.claims_term = False
    alice.say("something that waits")
    signs = alice.fleet.terms.leader_lines
    alice.round()
    assert alice.session.claims_term and alice.local.lease.valid_until_s > world.now_s
    assert alice.fleet.terms.leader_lines > signs


def test_a_duty_that_comes_back_from_a_lost_ledger_does_not_count_twice() -> None:
    """Seed 1017: the ledger was set back, the leader did its duty again, then the first one came back."""
    world = World()
    alice = world.machine("alice", runs=True)
    world.settle()
    for content in ("the duty", "the same duty, come back"):
        alice.append("note", content, term=alice.fleet.terms.term, data={"duty": "once"})
    alice.round()
    counted = [event.content for event in world.events() if event.uid in alice.fleet.positions]
    assert "the duty" in counted and "the same duty, come back" not in counted


def test_a_session_believed_dead_is_left_alone_once_it_is_heard_again() -> None:
    """Seed 1106: a run of the same agent elsewhere slept, woke, and was deposed by the one that had waited for it."""
    world = World()
    alice, bob = world.machine("alice", runs=True), world.machine("bob", runs=True)
    world.settle()
    assert alice.leads
    bob.session.replaces_session = alice.session.id
    alice.say("I live")
    alice.session.heartbeat_at_s = None
    alice.round()
    bob.round()
    assert bob.session.replaces_session is None


def test_a_copy_of_a_clone_does_not_stand_in_place_of_the_session_that_it_was_copied_from() -> None:
    """Seed 88: its lock had proven the old session dead, before it knew that it was a copy."""
    world = World()
    alice = world.machine("alice", runs=True)
    world.settle()
    copy = alice.copy("copy")
    alice.session.heartbeat_at_s = None
    alice.round()
    copy.session.replaces_session = alice.session.id
    copy.round()
    world.settle(2)
    assert alice.leads and not copy.leads


def test_silence_of_one_leader_is_no_credit_against_the_next() -> None:
    """Seed 0 of liar, rollback, copy, suspend: after a look at a stale mirror the new leader was deposed at once."""
    world = World()
    alice, bob = world.machine("alice", runs=True), world.machine("bob", runs=True)
    world.settle()
    assert alice.leads
    bob.local.watch.silent_s, bob.local.watch.polls = 1e3, 9
    bob.local.watch.campaign_at_s = 0.0
    bob.local.observe(bob.fleet, bob.replica.heartbeats(), world.now_s, trusted=False)
    assert campaign(bob.local, bob.fleet, world.now_s) is None
