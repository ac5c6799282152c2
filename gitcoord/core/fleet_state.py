"""The state of a fleet: a fold of the ledger's lines, one after the other.

A line is *admissible* if it is well formed, rightly signed, next in its node's chain, and within the daily number of
lines without effect (`places.py`). An admissible line takes the next position. It may still be *void*: then it keeps
its position and changes nothing, for a known reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from gitcoord.core import feature as features_of
from gitcoord.core import limits, rights
from gitcoord.core.event_types import CONTROL, EventTypes
from gitcoord.core.feature import Feature, SequencedEvent, States
from gitcoord.core.fields import BUG, typed
from gitcoord.core.fold import membership
from gitcoord.core.fold.chains import Chains, Inadmissible
from gitcoord.core.fold.ledger_time import LedgerTime
from gitcoord.core.fold.members import Members
from gitcoord.core.fold.membership import KeyRevoked, stripped
from gitcoord.core.fold.moves import Moves
from gitcoord.core.fold.occasions import Occasions
from gitcoord.core.fold.places import Ahead, Places, standing_of
from gitcoord.core.fold.quotas import Quotas
from gitcoord.core.fold.revocations import Revocations
from gitcoord.core.fold.terms import Terms
from gitcoord.core.fold.voids import Voids, positions_from, remember
from gitcoord.core.format.event import FORMAT, FOUNDING, Event, Head, fleet_id_of, hash_of, parse
from gitcoord.core.format.keys import Verifier
from gitcoord.core.format.strict_json import Malformed

STATE = "gitcoord.state/13"
"""The schema of `dump`, without the features' names. It changes with the shape of any part: a checkpoint or a cache of
another schema is not read (`tests/core/fold/test_state_shape.py`)."""

EMPTY = hash_of(b"gitcoord ledger")
"""The digest of a log without lines."""


class FleetState:
    """The folded ledger. `apply` alone changes it, and the same lines give the same state on every machine."""

    def __init__(
        self, features: Mapping[str, Feature], verifier: Verifier | None = None, revocations: Revocations | None = None
    ) -> None:
        self.features = features
        self.verifier = verifier
        self.id: str | None = None  # it follows from the ledger's first line
        self.position = 0
        self.digest = EMPTY
        self.chains = Chains()
        self.positions: dict[str, int] = {}  # uid → position, of events with effect
        self.revocations = revocations or Revocations()
        self.members = Members(revoked=self.revocations.by_key())
        self.terms, self.moves, self.time = Terms(), Moves(), LedgerTime()
        self.quotas, self.places = Quotas(), Places()
        self.states = States(features)
        self.occasions, self.voids = Occasions(), Voids()
        self.refusals: dict[str, str] = {}  # uid → why a feature let the event change nothing, oldest first

    @cached_property
    def types(self) -> EventTypes:
        """Return the types of events that the core and the features know."""
        return EventTypes(self._in_order)

    @cached_property
    def _in_order(self) -> dict[str, Feature]:
        """Return the features in the order of folding. This imports all; reading an unchanged fold needs few."""
        return dict(self.features)

    def anew(self) -> FleetState:
        """Return an empty fold of the same ledger that knows from the start which keys are revoked."""
        return type(self)(self.features, self.verifier, self.revocations.learnt or self.revocations)

    @property
    def schema(self) -> str:
        """The schema of `dump`. Another set of features has another one."""
        return " ".join([STATE, *sorted(self.features)])

    @property
    def has_shared_secret(self) -> bool:
        """Whether all agents sign with one secret. Nobody can check a line that is signed with another one."""
        return self.verifier is not None and self.verifier.auth == "hmac"

    @property
    def done(self) -> Mapping[str, None]:
        """The duties that the ledger holds."""
        return self.occasions.done

    @property
    def heads(self) -> Mapping[str, Head]:
        """The end of each node's chain."""
        return self.chains.heads

    def admissible(self, line: bytes, *, chains: Chains | None = None, is_again: bool = False) -> Event:
        """Return the event in `line` if it may come next; raise Inadmissible otherwise. See `check_place`."""
        try:
            event = parse(line)
        except Malformed as wrong:
            raise Inadmissible(str(wrong)) from None
        self.check_place(event, chains=chains, is_again=is_again)
        self.check_signature(event)
        return event

    def check_place(
        self, event: Event, *, chains: Chains | None = None, ahead: Ahead | None = None, is_again: bool = False
    ) -> None:
        """Raise Inadmissible unless `event` may come next. Its signature is not checked.

        `chains` replaces the fold's own while a batch is filled, and `ahead` is what the batch holds. `is_again`: an
        earlier fold, which knew fewer revocations, gave it its position; the daily numbers were checked then.
        """
        if (event.type in CONTROL) == (event.seq is not None):
            raise Inadmissible(f"{event.type} inside a chain" if event.seq else f"{event.type} outside a chain")
        if event.seq is not None:
            (chains or self.chains).check(event)
        if (self.position == 0) != (event.type == FOUNDING):
            raise Inadmissible("a ledger begins with fleet_founded, and has one")
        if event.type == FOUNDING:
            self._check_founding(event)
        if event.seq is None and self.position and event.data.get("after") != self.digest:
            raise Inadmissible(f"{event.type} that extends another log")  # replayed, or sequenced by somebody else
        if self.position and not is_again:
            reason = self.places.holds_back(
                event,
                self.members,
                self.time,
                position=self.position + 1,
                ahead=ahead,
                has_effect=lambda line: self.judge(line)[1] is None,
            )
            if reason is not None:
                raise Inadmissible(reason, waits=True)

    def _check_founding(self, event: Event) -> None:
        """Raise Inadmissible if the line founds no fleet: nobody could ever write in such a ledger."""
        format_ = event.data.get("format", FORMAT)
        if type(format_) is not int or format_ != FORMAT:
            raise Inadmissible(f"written in format {format_} of gitcoord's events; this version reads {FORMAT}")
        _, void = self.judge(event)
        if void is not None:
            raise Inadmissible(f"it founds no fleet: {void}")

    def check_signature(self, event: Event) -> None:
        """Raise Inadmissible if the event's signature is wrong."""
        if self.verifier is None:
            return
        if self.id is None and event.type != FOUNDING:
            raise Inadmissible("no fleet is founded")  # without an id a line would be valid in any such ledger
        wrong = self.verifier.rejects(event, self.id or "")
        if wrong:
            raise Inadmissible(wrong)

    def append(self, line: bytes, *, is_again: bool = False) -> SequencedEvent:
        """Fold `line` at the next position. Raise Inadmissible, and change nothing, if it may not come next."""
        return self.apply(self.admissible(line, is_again=is_again))

    def append_verified(self, event: Event, *, is_again: bool = False) -> SequencedEvent:
        """Fold an event whose signature was checked before. Raise Inadmissible if it may not come next."""
        self.check_place(event, is_again=is_again)
        return self.apply(event)

    def apply(self, event: Event) -> SequencedEvent:
        """Fold an event that is known to be admissible."""
        payload, void = self.judge(event)
        parent = self.positions.get(event.re or "")
        standing = standing_of(event, self.members, self.position + 1)
        if event.term is not None and standing == "member":  # terms of others would only use up numbers
            if event.type != "leader_election" or rights.may_lead(self, event.actor):
                self.terms.see(event.term)
        if void is None:
            if event.type == FOUNDING:
                self.id = fleet_id_of(event.line)
            newcomer = self.types.newcomer_role(self.states, payload)
            self.members.fold(self.position + 1, event, payload, newcomer=newcomer)
        role = self.members.role_of(event.actor) or "guest"
        if void is None and role != "guest":
            self.time.witness(event.actor, event.timestamp, admin=role == "admin")
            if (gone := stripped(payload)) is not None:
                self.time.forget(gone)
        at = self.time.accepted(event.timestamp)
        if at != event.timestamp:
            event = event._replace(timestamp=at)
        sequenced = SequencedEvent(self.position + 1, event, void, payload, parent, self.time.now, role)
        if void is None:
            self.terms.fold(sequenced.position, event, payload)
            self.moves.fold(sequenced.position, event, payload)
            self.quotas.fold(event, at, payload, self.members)
            self.positions[event.uid] = sequenced.position
        else:
            self.voids.note(sequenced.position, event, void)
        if void is None or self.members.signed(event):
            self.quotas.count(event, self.time.now, self.members, void)
        self.places.count(event, self.members, self.time, void=void is not None, standing=standing)
        if event.term is not None:
            self.occasions.note(event, void, by_leader=self.terms.is_leaders(event) and self.members.signed(event))
        if event.seq is not None:
            self.chains.take(event)
        self.position += 1
        self.digest = hash_of(self.digest.encode() + event.line)
        self._fold_features(sequenced)
        if void is None and payload is not None and self.types.may_admins_write(event.type):
            rights.depose_if_barred(self)  # an admin may have taken the leader's right to lead
        return sequenced

    def _fold_features(self, sequenced: SequencedEvent) -> None:
        for name, feature in self._in_order.items():
            try:
                reason = feature.fold(self.states[name], sequenced)
            except (MemoryError, RecursionError):
                raise  # the fault is this machine's, not the event's: another machine may fold it
            except Exception as wrong:  # a bug: a fold that ended here would end on every machine, forever
                reason = f"{BUG}: {name} fails with {type(wrong).__name__}"
            if reason is not None and sequenced.void is None:
                remember(self.refusals, sequenced.event.uid, reason, limits.REFUSALS_REMEMBERED_MAX)

    def why_without_effect(self, event: Event) -> str | None:
        """Return why an event that is in the ledger changed nothing; None if it had effect.

        A second event with the same uid has no effect. The same event rechained counts as the first one.
        """
        void = self.voids.of(event)
        if event.uid in self.positions:
            return void.reason if void and void.hash == event.head.hash else self.refusals.get(event.uid)
        return void.reason if void else "why is no longer at hand here: `gitcoord verify` finds what was forged"

    def position_of(self, event: Event) -> int | None:
        """Return the ledger's position of an event, with or without effect; None if it is not known."""
        void = self.voids.of(event)
        if void is not None and (void.hash == event.head.hash or event.uid not in self.positions):
            return void.position
        return self.positions.get(event.uid)

    def judge(self, event: Event) -> tuple[BaseModel | None, str | None]:
        """Return the event's typed data, and why it has no effect here (None: it has one). Change nothing."""
        try:
            payload = typed(self.types.model_of(event.type), event.content, event.data)
        except ValueError as wrong:
            return None, f"its data is wrong: {wrong}"[: limits.VOID_REASON_KEPT]
        if event.uid in self.positions:
            return payload, f"the same event as at position {self.positions[event.uid]}"
        position = self.position + 1
        void = (
            self.members.rejects(event, position)
            or self.terms.rejects(event, payload, self.digest)
            or rights.forbids(self, event.type, event.actor, leads=event.term is not None, re=event.re, payload=payload)
            or self.quotas.rejects(event, self.time.now, self.members)
            or self.moves.rejects(event, payload)
        )
        if void is None and event.type in membership.EVENTS:
            void = rights.objection(self, payload, event.actor, event.key)
        if isinstance(payload, KeyRevoked) and (void is None or position in self.revocations):
            key = self.members.key_named(payload.key) or ""
            void = self.revocations.judge(position, key, payload.after, void, self.members.revoked.get(key))
        if void is None and event.term is not None:
            void = self.types.withheld(self.states, event)
        duty = event.data.get("duty")
        if void is None and event.term is not None and isinstance(duty, str) and duty in self.done:
            void = "its duty was done before"  # a ledger lost it, and it came back after the duty was done again
        return payload, void

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values, equal on every machine for equal lines."""
        effective = set(self.positions.values())
        return {
            "schema": self.schema,
            "fleet": self.id,
            "position": self.position,
            "digest": self.digest,
            "chains": self.chains.dump(),
            "uids": "".join(self.positions),
            "void": [position for position in range(1, self.position + 1) if position not in effective],
            "revocations": self.revocations.dump(),
            "members": self.members.dump(),
            "terms": self.terms.dump(),
            "time": self.time.dump(),
            "quotas": self.quotas.dump(),
            "places": self.places.dump(),
            "moves": self.moves.dump(),
            "occasions": self.occasions.dump(),
            "refusals": self.refusals,
            "voids": self.voids.dump(),
            "features": {name: features_of.dump(one, self.states[name]) for name, one in self._in_order.items()},
        }

    @classmethod
    def load(
        cls,
        value: Mapping[str, Any],
        features: Mapping[str, Feature],
        verifier: Verifier | None = None,
        *,
        is_known_good: bool = False,
    ) -> FleetState:
        """Return the state that `dump` wrote. Raise KeyError, TypeError or ValueError for anything else.

        `is_known_good`: no need to look at all of it, so each feature's state is loaded when it is first used.
        """
        fleet = cls(features, verifier, Revocations.load(value["revocations"]))
        if value["schema"] != fleet.schema:
            raise ValueError("a state of another version")
        fleet.id = None if value["fleet"] is None else str(value["fleet"])
        fleet.position, fleet.digest = int(value["position"]), str(value["digest"])
        fleet.chains = Chains.load(value["chains"])
        fleet.positions = positions_from(str(value["uids"]), set(value["void"]), fleet.position)
        fleet.members = Members.load(value["members"])
        fleet.terms, fleet.time = Terms.load(value["terms"]), LedgerTime.load(value["time"])
        fleet.quotas, fleet.places = Quotas.load(value["quotas"]), Places.load(value["places"])
        fleet.moves, fleet.occasions = Moves.load(value["moves"]), Occasions.load(value["occasions"])
        fleet.refusals = dict(value["refusals"])
        fleet.voids = Voids.load(value["voids"])
        fleet.states = States(features, value["features"])
        if not is_known_good:
            fleet.states.complete()
        return fleet
