"""Duties: what the leader alone appends. No round fails for the sake of one, and none is tried without end.

A feature that fails when it is asked, and a duty that cannot be written, becomes one `error` whose key counts as done.
What the ledger voids all the same is tried again a few times, with growing pauses.
"""

from __future__ import annotations

import traceback
from collections.abc import Container, Iterator
from itertools import islice

from gitcoord.core import limits, times
from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused
from gitcoord.core.feature import Duty, duties
from gitcoord.core.fields import as_text
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Head, Signer, hash_of, seal

CAUSE_CHARACTERS_MAX = 300
_LAST = Head(limits.SEQ_MAX - 1, hash_of(b""))  # the longest place that a line can name


def wanted(fleet: FleetState, ctx: Context, *, but: Container[str] = frozenset()) -> list[Duty]:
    """What the leader ought to append now, `but` these keys: of each feature no more than a tick appends."""
    found: dict[str, Duty] = {}
    for name in fleet.features:
        new = (
            duty
            for duty in _asked(fleet, name, ctx)
            if duty.key not in found and duty.key not in but and duty.key not in fleet.done
        )
        for duty in islice(new, limits.DUTIES_PER_TICK):
            found[duty.key] = duty
    return [duty for duty in found.values() if not _rests(fleet, duty.key, ctx.now)]


def _asked(fleet: FleetState, name: str, ctx: Context) -> Iterator[Duty]:
    try:
        yield from islice(duties(fleet.features[name], fleet.states[name], ctx), limits.DUTIES_LOOKED_AT_MAX)
    except Exception as wrong:  # the one place where a feature's bug ends: a leader that ends would be the next one's
        place = traceback.extract_tb(wrong.__traceback__)[-1]
        cause = f"{type(wrong).__name__} in {place.name}"
        yield Duty(
            "error",
            _plain(f"the duties of {name} cannot be told at position {fleet.position}: {cause}: {wrong}"),
            f"duty-failed:{name}:{hash_of(cause.encode())[:16]}",
        )


def _rests(fleet: FleetState, key: str, now: str) -> bool:
    """Whether the ledger voided it so lately that it is not tried again yet."""
    tried = fleet.occasions.tried.get(key)
    if tried is None or tried.times >= limits.DUTY_TRIES_MAX:
        return False
    pause_s: float = limits.DUTY_PAUSE_S * 4 ** (tried.times - 1)
    return 0 <= times.between_s(tried.at, now) < pause_s


def draft(
    fleet: FleetState, duty: Duty, signer: Signer, *, actor: str, node: str, timestamp: str, uid: str
) -> Draft | None:
    """The event for a duty, or the error that says why there is none; None where not even that may be written."""

    def made(one: Duty) -> Draft:
        return one.draft(actor=actor, term=fleet.terms.term, timestamp=timestamp, uid=uid)

    def why_not(one: Duty) -> str | None:
        try:
            event = seal(made(one), node=node, after=_LAST, signer=signer, fleet=fleet.id or "")
        except Refused as wrong:
            return str(wrong)
        return fleet.judge(event)[1]

    tried = fleet.occasions.tried.get(duty.key)
    spent = tried is not None and tried.times >= limits.DUTY_TRIES_MAX
    reason = f"the ledger voided it {tried.times} times: {tried.reason}" if tried and spent else why_not(duty)
    if reason is None:
        return made(duty)
    told = Duty("error", _plain(f"the leader cannot write {duty.type} for {duty.key}: {reason}"), duty.key)
    return made(told) if why_not(told) is None else None


def _plain(text: str) -> str:
    """Short, and of characters that any line can hold."""
    return as_text(text)[:CAUSE_CHARACTERS_MAX]
