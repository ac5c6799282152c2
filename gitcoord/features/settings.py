"""Settings of the whole fleet: events in the ledger, so that every agent uses the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gitcoord.core.commands import Command, Query
from gitcoord.core.errors import Refused
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import NAMED, Agent, Json, Payload
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.authority import ADMIN, Asked, Persons, Resolver, Role, Who, Whose
from gitcoord.features.pages.snapshot import check_headings
from gitcoord.features.typed import Pattern

LEADERS_MAX = 200
HEADINGS_MAX = 200  # types of events
LINES_MAX = 10_000_000  # per change
SET_MAX = 50  # settings in one event
VOTE_WEIGHT_MAX = 1000
OWNERS_MAX = 50  # per pattern

Check = Annotated[str, Field(min_length=1, max_length=200), NAMED]
Weight = Annotated[int, Field(ge=0, le=VOTE_WEIGHT_MAX)]
Owners = Annotated[list[Agent], Field(min_length=1, max_length=OWNERS_MAX)]


class Settings(BaseModel):
    """The settings of a fleet, with their defaults."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    recent: int = Field(3, ge=1, le=100, description="interactions shown in communication.md (K)")
    headings: dict[str, str] = Field(
        {}, max_length=HEADINGS_MAX, description="event type to heading, added to the built-in table"
    )
    profile: Literal["local", "lan", "github"] | None = Field(None, description="timings (default: the card's)")
    heartbeats: Literal["live", "log"] = Field(
        "live", description="destination of heartbeats: outboxes only, or the log too"
    )
    leaders: list[Agent] = Field(
        [], max_length=LEADERS_MAX, description="agents that may lead, the preferred first; empty: every one"
    )
    newcomers: Literal["member", "guest"] = Field("member", description="role of an agent that joins by itself")
    hook: Literal["warn", "refuse"] = Field(
        "warn", description="reaction of the pre-commit hook to paths that another agent has reserved"
    )
    recovery: list[Literal["restart", "backup", "redistribute", "degrade", "escalate"]] = Field(
        ["restart", "backup", "redistribute", "degrade", "escalate"],
        max_length=5,
        description="strategies for an agent that is gone, in this order; []: none",
    )
    restarts_max: int = Field(3, ge=0, le=50, description="restarts of one agent in an hour")
    recovery_wait_s: float = Field(15, gt=0, le=3600, description="seconds for a restart, then the next is tried")
    task_grace_s: float = Field(
        120, ge=0, le=86_400, description="seconds that an agent whose session ended keeps its tasks"
    )
    task_lease_s: float = Field(
        1800,
        ge=1,
        le=30 * 86_400,
        description="seconds that an agent without a session keeps its tasks after its last event",
    )
    alerts: list[Literal["error", "escalated", "degraded"]] = Field(
        ["error", "escalated"],
        max_length=3,
        description="kinds of events that people are alerted to; each node has the addresses",
    )
    github_review: bool = Field(False, description="whether the leader reviews pull requests that are new or changed")
    github_issues: list[Literal["error", "escalated", "degraded"]] = Field(
        [], max_length=3, description="kinds of events that the leader collects in an issue on GitHub"
    )
    conflicts_every_s: float = Field(
        0, ge=0, le=86_400, description="seconds between the leader's checks for branches that conflict; 0: no checks"
    )
    review_quorum: int = Field(1, ge=0, le=1000, description="total weight of votes that an approval needs")
    review_weights: dict[Agent, Weight] = Field(
        {}, max_length=200, description="agent to the weight of its vote; other votes have weight 1"
    )
    review_statuses: list[Check] = Field([], max_length=50, description="statuses and checks that must succeed")
    review_labels: list[Check] = Field([], max_length=50, description="labels that a pull request must have")
    review_max_lines: int = Field(
        0, ge=0, le=LINES_MAX, description="lines that a pull request may change; 0: any number"
    )
    review_owners: dict[Pattern, Owners] = Field(
        {}, max_length=200, description="pattern of paths to agents; one of them must approve a change there"
    )

    @field_validator("headings")
    @classmethod
    def _headings(cls, table: dict[str, str]) -> dict[str, str]:
        problems = check_headings(table)
        if problems:
            raise ValueError("; ".join(problems))
        return table


class ConfigChanged(Payload):
    """The author changes settings; null resets one to its default. Unknown names and wrong values have no effect."""

    set: Json = Field(max_length=SET_MAX)


EVENTS: Mapping[str, type[BaseModel]] = {"config_changed": ConfigChanged}
AUTHORITY: Mapping[str, Who] = {"config_changed": ADMIN}
COMMANDS: Mapping[str, Command | Query] = {}


@dataclass(slots=True)
class State:
    settings: Settings = field(default_factory=lambda: Settings.model_validate({}))


def fold(state: State, sequenced: SequencedEvent) -> None:
    if sequenced.void is None and isinstance(sequenced.payload, ConfigChanged):
        for name, value in sequenced.payload.set.items():
            try:
                state.settings = changed(state.settings, name, value)
            except Refused:
                continue  # the command refuses it; the fold never fails


def changed(settings: Settings, name: str, value: Any) -> Settings:
    """Return `settings` with one value changed (None: the default).

    Raise Refused if there is no such setting or value.
    """
    if name not in Settings.model_fields:
        raise Refused(f"no setting {name!r}; there are: {', '.join(Settings.model_fields)}")
    if value is None:
        kept = settings.model_fields_set - {name}
        return Settings.model_construct(**{one: getattr(settings, one) for one in kept})
    try:
        new = Settings.model_validate({name: value})  # this one alone: the others were checked when they were set
    except ValidationError as wrong:
        raise Refused(f"{name}: {wrong.errors(include_url=False)[0]['msg']}") from None
    return settings.model_copy(update={name: getattr(new, name)})


def newcomer(state: State) -> Role:
    """Return the role of an agent that joins by itself (`FleetState` asks for it)."""
    return state.settings.newcomers


def _candidates(state: State, asked: Asked, persons: Persons) -> Whose | None:
    """Return the agents that `leaders` names; None if it names none."""
    named = [one.casefold() for one in state.settings.leaders]
    words = "an agent that the setting `leaders` names"
    return Whose(words, lambda agent: agent in named) if named else None


WHOSE: Mapping[str, Resolver] = {"leader_election": _candidates}


def election_delay_factor(fleet: FleetState, agent: str) -> float | None:
    """Return the share of the random wait before a campaign: 0 for the first of `leaders`; None: it never campaigns."""
    leaders = [one.casefold() for one in fleet.states["settings"].settings.leaders]
    if not leaders:
        return 1.0
    return leaders.index(agent.casefold()) / len(leaders) if agent.casefold() in leaders else None


def dump(state: State) -> Any:
    return state.settings.model_dump(exclude_unset=True)


def load(value: Any) -> State:
    return State(Settings.model_validate(value))
