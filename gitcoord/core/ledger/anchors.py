"""Anchors: facts that a newcomer got from somebody it trusts, and checks before it believes others' checkpoints.

An anchor is the fingerprint of the founder's key, or `POSITION:DIGEST`, the digest of the log up to a position. With
an anchor, a newcomer folds the lines about members, roles, keys and leaders itself. Only these lines are parsed, and
their signatures checked. A checkpoint that says anything else is not believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gitcoord.core.errors import ForeignLedger, Refused
from gitcoord.core.fleet_state import EMPTY, FleetState
from gitcoord.core.fold import membership, moves, terms
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import hash_of, parse
from gitcoord.core.format.keys import FINGERPRINT_PREFIX, fingerprint
from gitcoord.core.format.raw_line import may_say, type_of
from gitcoord.core.format.strict_json import Malformed

VARIABLE = "GITCOORD_TRUST"
GOVERNING = frozenset({*membership.EVENTS, *terms.EVENTS, *moves.EVENTS, "config_changed"})
"""Types of lines that say who is a member, and who leads; settings say which role a newcomer has, and who may lead."""

_DIGEST = re.compile(r"([1-9][0-9]{0,14}):([A-Za-z0-9_-]{43})")
_FINGERPRINT = re.compile(FINGERPRINT_PREFIX + r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Anchors:
    """The given fingerprints of the founder, and the given digests by position. Empty: no anchor was given."""

    founders: frozenset[str] = field(default_factory=frozenset)
    digests: tuple[tuple[int, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.founders or self.digests)


def read(text: str) -> Anchors:
    """Return the anchors in `text`, separated by spaces or commas. Raise Refused if a word is not an anchor."""
    founders, digests = set(), []
    for word in re.split(r"[\s,]+", text.strip()) if text.strip() else ():
        found = _DIGEST.fullmatch(word)
        if found is not None:
            digests.append((int(found[1]), found[2]))
        elif _FINGERPRINT.fullmatch(word):
            founders.add(word)
        else:
            raise Refused(
                f"{VARIABLE}: {word!r} is neither POSITION:DIGEST nor the fingerprint of the founder's key: "
                "`gitcoord status -v` of a member shows both"
            )
    return Anchors(frozenset(founders), tuple(digests))


def may_be_closed(lines: Iterable[bytes]) -> bool:
    """Return whether any line says, validly or not, that an admin has to admit newcomers."""
    return any(may_say(line, "admission", "closed") for line in lines)


def check(anchors: Anchors, lines: Sequence[bytes]) -> None:
    """Raise ForeignLedger if the log does not fit the anchors."""
    if anchors.founders:
        try:
            founder = fingerprint(parse(lines[0]).key) if lines else "nobody's"
        except Malformed:
            founder = "unreadable"
        if founder not in anchors.founders:
            raise ForeignLedger(
                f"this is another fleet than the one that this clone trusts ({VARIABLE}): the key of its "
                f"founder is {founder}, not {' or '.join(sorted(anchors.founders))}. Name the right remote, "
                "or run `gitcoord leave` and `gitcoord init` to join that fleet"
            )
    wanted, digest = dict(anchors.digests), EMPTY
    for position in wanted:
        if position > len(lines):
            raise ForeignLedger(
                f"the ledger ends at position {len(lines)}, before position {position} of {VARIABLE}: "
                "somebody has set it back"
            )
    for position, line in enumerate(lines[: max(wanted, default=0)], 1):
        digest = hash_of(digest.encode() + line)
        if wanted.get(position, digest) != digest:
            raise ForeignLedger(
                f"the ledger's digest at position {position} is {digest}, and {VARIABLE} names "
                f"{wanted[position]}: this is another ledger, or somebody has rewritten it"
            )


def members_of(lines: Sequence[bytes], like: FleetState) -> FleetState:
    """Return a fold of the lines about members and leaders only, for its `members` and `terms`.

    It has those features of `like` that matter for these. It can differ from the complete fold, for example if other
    lines used up a line's term. In this case a checkpoint is not believed, and everything is folded.
    """
    governing, digest = [], EMPTY
    for position, line in enumerate(lines, 1):
        if type_of(line) in GOVERNING:
            governing.append((position, line, digest))
        digest = hash_of(digest.encode() + line)
    fleet = FleetState({name: one for name, one in like.features.items() if hasattr(one, "newcomer")}, like.verifier)
    while True:
        for position, line, before in governing:
            _take(fleet, position, line, before)
            if fleet.revocations.learnt is not None:
                break
        else:
            return fleet
        fleet = fleet.anew()


def _take(fleet: FleetState, position: int, line: bytes, before: str) -> None:
    try:
        event = parse(line)
        if event.type in GOVERNING:
            fleet.check_signature(event)
            fleet.position, fleet.digest = position - 1, before  # an election counts only after the log that it names
            fleet.apply(event)
    except (Malformed, Inadmissible):
        return  # the complete fold decides about such a line
