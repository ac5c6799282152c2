"""Settings of the whole fleet: events in the ledger, so that every agent goes by the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gitcoord.core.commands import Command, Look, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fleet import Duty, Fleet, Recorded
from gitcoord.core.names import is_agent_id
from gitcoord.features.snapshot import check_headings


class Settings(BaseModel):
    """What a fleet can set, with its defaults."""

    model_config = ConfigDict(extra="forbid")

    recent: int = Field(3, ge=1, le=100, description="interactions shown in communication.md (K)")
    headings: dict[str, str] = Field({}, description="event type to heading, added to the built-in table")
    profile: Literal["local", "lan", "github"] | None = Field(None, description="timings; else the card's")
    heartbeats: Literal["live", "log"] = Field("live", description="where beats go: outboxes only, or the log too")
    leaders: list[str] = Field([], description="agents that may lead; empty: every one")
    hook: Literal["warn", "refuse"] = Field(
        "warn", description="what the pre-commit hook does about what another agent has reserved")
    recovery: list[Literal["restart", "backup", "redistribute", "degrade", "escalate"]] = Field(
        ["restart", "backup", "redistribute", "degrade", "escalate"], max_length=5,
        description="what is tried for an agent that is gone, in this order; []: nothing")
    restarts_max: int = Field(3, ge=0, le=50, description="restarts of one agent in an hour")
    recovery_wait_s: float = Field(15, gt=0, le=3600, description="seconds for a restart, then the next is tried")
    alerts: list[Literal["error", "escalated", "degraded"]] = Field(
        ["error", "escalated"], max_length=3, description="what people are alerted to; where to is up to each node")

    @field_validator("headings")
    @classmethod
    def _headings(cls, table: dict[str, str]) -> dict[str, str]:
        problems = check_headings(table)
        if problems:
            raise ValueError("; ".join(problems))
        return table

    @field_validator("leaders")
    @classmethod
    def _leaders(cls, agents: list[str]) -> list[str]:
        for agent in agents:
            if not is_agent_id(agent):
                raise ValueError(f"{agent!r} is not an agent id")
        return agents


class ConfigChanged(BaseModel):
    """Sets some settings; null takes one back to its default. Unknown names and wrong values are left out."""

    set: dict[str, Any]


EVENTS: Mapping[str, type[BaseModel]] = {"config_changed": ConfigChanged}
COMMANDS: Mapping[str, Command | Query] = {}


@dataclass(slots=True)
class State:
    settings: Settings = field(default_factory=lambda: Settings.model_validate({}))


def fold(state: State, recorded: Recorded) -> None:
    if recorded.void is None and isinstance(recorded.payload, ConfigChanged):
        for name, value in recorded.payload.set.items():
            try:
                state.settings = changed(state.settings, name, value)
            except Refused:
                continue  # `decide` refuses it politely; a fold never fails


def changed(settings: Settings, name: str, value: Any) -> Settings:
    """`settings` with one value set (None: the default). Raises Refused with the reason."""
    if name not in Settings.model_fields:
        raise Refused(f"no setting {name!r}; there are: {', '.join(Settings.model_fields)}")
    values = settings.model_dump(exclude_unset=True)
    values.pop(name, None)
    if value is not None:
        values[name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as wrong:
        raise Refused(f"{name}: {wrong.errors(include_url=False)[0]['msg']}") from None


def may_lead(fleet: Fleet, agent: str) -> bool:
    """Whether the fleet lets this agent stand."""
    leaders = fleet.states["settings"].settings.leaders
    return not leaders or any(agent.casefold() == one.casefold() for one in leaders)


def duty(state: State, look: Look) -> Iterable[Duty]:
    return ()


def dump(state: State) -> Any:
    return state.settings.model_dump(exclude_unset=True)


def load(value: Any) -> State:
    return State(Settings.model_validate(value))
