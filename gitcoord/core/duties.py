"""Duties: what the leader alone appends. No duty makes a round fail, and none is tried forever.

If a feature's `duty` raises, or a duty cannot be written, the leader appends one `error` under the duty's key, which
then counts as done. If the ledger voids a duty all the same, it is tried again a few times, with growing pauses.
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
_LAST = Head(limits.SEQ_MAX - 1, hash_of(b""))  # the place in a chain that takes the most bytes


def wanted(fleet: FleetState, ctx: Context, *, but: Container[str] = frozenset()) -> list[Duty]:
    """Return the duties to append now, `but` those with these keys: at most `DUTIES_PER_TICK` of each feature."""
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
    except Exception as wrong:  # a feature's bug ends here: a leader that it ended would end every successor too
        place = traceback.extract_tb(wrong.__traceback__)[-1]
        cause = f"{type(wrong).__name__} in {place.name}"
        yield Duty(
            "error",
            _plain(f"the duties of {name} cannot be told at position {fleet.position}: {cause}: {wrong}"),
            f"duty-failed:{name}:{hash_of(cause.encode())[:16]}",
        )


def _rests(fleet: FleetState, key: str, now: str) -> bool:
    """Return whether the ledger voided the duty so recently that it is not tried again yet."""
    tried = fleet.occasions.tried.get(key)
    if tried is None or tried.times >= limits.DUTY_TRIES_MAX:
        return False
    pause_s: float = limits.DUTY_PAUSE_S * 4 ** (tried.times - 1)
    return 0 <= times.between_s(tried.at, now) < pause_s


def draft(
    fleet: FleetState, duty: Duty, signer: Signer, *, actor: str, node: str, timestamp: str, uid: str
) -> Draft | None:
    """Return the event for a duty, or an `error` that says why there is none; None if not even that may be written."""

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
    """Cut a text, and replace characters that no line can hold."""
    return as_text(text)[:CAUSE_CHARACTERS_MAX]
