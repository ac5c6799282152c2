"""A machine's image: copied while it runs, with its memory, and resumed elsewhere, perhaps much later."""

from __future__ import annotations

from dataclasses import replace

from gitcoord.core.round.line_cache import LineCache
from gitcoord.core.round.replica import advance_to
from gitcoord.simulation.machine import Machine


def resume(image: Machine, other: Machine, late_s: float) -> None:
    """Let `image` continue after `late_s` seconds where the process of `other` is now. Its clock stops until then."""
    world, old, local = image.world, other.replica, other.local
    image.clock_rate, image.slept_s = other.clock_rate, other.slept_s
    image.clock_offset_s = other.clock_offset_s - late_s * other.clock_rate
    image.replica = replace(
        old,
        objects=image.store,
        fresh=image.fresh,
        branch=image.replica.branch,
        clock=image.replica.clock,
        rng=image.rng,
        outboxes=dict(old.outboxes),
        own=old.own.copy(),
        waiting=dict(old.waiting),
        unchanged=dict(old.unchanged),
        reclaimed=set(old.reclaimed),
        refusals=replace(old.refusals, refused=dict(old.refusals.refused)),
        lines=LineCache(),
    )
    if old.branch.tip is not None:
        advance_to(image.replica, old.branch.tip)
    sessions = [
        replace(session, made=dict(session.made), handed_over=dict(session.handed_over)) for session in local.sessions
    ]
    image.local = replace(
        local, sessions=sessions, watch=replace(local.watch), lease=replace(local.lease), rng=image.rng
    )
    image.budget = replace(other.budget)
    image.seated, image.due_s, image.not_before_s = other.seated, other.due_s, other.not_before_s
    witness = image.remote.witness
    witness.looks[image.name] = list(witness.looks.get(other.name, ()))
    image.image_until_s = world.now_s + late_s + world.profile.outlast_s()
