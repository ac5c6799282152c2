"""The types of events that the core and a fleet's features know: their payload models, and who may write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

from gitcoord.core.feature import Feature
from gitcoord.core.fold import authority, membership, moves, quotas, terms
from gitcoord.core.fold.authority import Permission, Role, Who
from gitcoord.core.fold.membership import AgentJoined
from gitcoord.core.format.event import FOUNDING, Event

CONTROL = frozenset({FOUNDING, "leader_election", "leader_renewed"})
"""Types of lines that are outside any chain, and never in one."""

CORE_EVENTS: dict[str, type[BaseModel]] = {**membership.EVENTS, **terms.EVENTS, **quotas.EVENTS, **moves.EVENTS}

CORE_AUTHORITY: dict[str, Who] = {**membership.AUTHORITY, **terms.AUTHORITY, **quotas.AUTHORITY, **moves.AUTHORITY}

_ADMIN = int(Who.ADMIN)  # a plain number: to join flags takes a microsecond, at every line


class EventTypes:
    """The types of a fleet with these features. It does not change."""

    def __init__(self, features: Mapping[str, Feature]) -> None:
        self.features = features
        self._models = dict(CORE_EVENTS)
        for feature in features.values():
            self._models.update(feature.EVENTS)
        self.permissions: Mapping[str, Permission] = authority.permissions(CORE_AUTHORITY, features)
        # Features that let the leader do some things only after an approval
        self._withhold = [
            (name, withholds)
            for name, feature in features.items()
            if (withholds := getattr(feature, "withholds", None)) is not None
        ]

    def model_of(self, type_: str) -> type[BaseModel] | None:
        """Return the payload model of an event type; None if neither a feature nor the core knows the type."""
        return self._models.get(type_)

    def may_admins_write(self, type_: str) -> bool:
        """Return whether the tables give the type to admins."""
        permission = self.permissions.get(type_)
        return permission is not None and bool(permission.who & _ADMIN)

    def withheld(self, states: Mapping[str, Any], event: Event) -> str | None:
        """Return why a feature withholds a leader's event until somebody approves it; None if none does."""
        return next(filter(None, (withholds(states[name], event) for name, withholds in self._withhold)), None)

    def newcomer_role(self, states: Mapping[str, Any], payload: BaseModel | None) -> Role:
        """Return the role of an agent that joins by itself. A feature may have a setting for it."""
        if isinstance(payload, AgentJoined):
            for name, feature in self.features.items():
                if hasattr(feature, "newcomer"):
                    return cast(Role, feature.newcomer(states[name]))
        return "member"
