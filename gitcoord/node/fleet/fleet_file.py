"""The fleet file: the agents that a machine runs, their capabilities, dependencies and commands. It is TOML, and fully
checked before use."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gitcoord.core.errors import Refused
from gitcoord.core.names import is_agent_id
from gitcoord.features.agents import dependencies
from gitcoord.features.agents.events import NEEDS_MAX, SLOTS_MAX
from gitcoord.features.typed import Capabilities
from gitcoord.node.process_environment import checked
from gitcoord.node.tasks.attempt import located
from gitcoord.store.files import read_regular

AGENTS_MAX = 64  # processes of one machine
BYTES_MAX = 1024 * 1024


class AgentSpec(BaseModel):
    """One agent of the file, under `[agents.NAME]`."""

    model_config = ConfigDict(extra="forbid")

    capabilities: Capabilities = []
    role: str = Field("", max_length=100)
    about: str = Field("", max_length=500)
    depends_on: list[str] = Field([], max_length=NEEDS_MAX)
    backup: str | None = None
    slots: int = Field(1, ge=1, le=SLOTS_MAX)
    exec: str | None = Field(None, min_length=1)
    handler: str | None = Field(None, min_length=1)
    pass_env: list[str] = []
    lead: bool = True
    worktree: bool = False

    @model_validator(mode="after")
    def _one_command(self) -> AgentSpec:
        if self.exec and self.handler:
            raise ValueError("exec and handler exclude each other: keep one")
        if self.worktree and not (self.exec or self.handler):
            raise ValueError("worktree needs exec or handler: give one of them")
        try:
            self.pass_env = checked(self.pass_env)
        except Refused as wrong:
            raise ValueError(f"pass_env: {wrong}") from None
        return self

    @property
    def registration(self) -> dict[str, Any]:
        """Return the arguments of the agent's registration."""
        arguments = self.model_dump(include={"capabilities", "role", "about", "depends_on", "backup", "slots"})
        return {**arguments, "accept_assignments": bool(self.exec or self.handler)}


class _FleetFileModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    agents: dict[str, AgentSpec] = Field(min_length=1, max_length=AGENTS_MAX)


@dataclass(frozen=True, slots=True)
class FleetFile:
    """The agents of a file by id, in dependency order: an agent comes after those that it depends on."""

    path: Path
    agents: Mapping[str, AgentSpec]


def read(path: Path, *, known: Iterable[str] = ()) -> FleetFile:
    """Return the checked fleet file. `known` has ids that the file may name without describing them.

    Raise Refused with the field and what is wrong with it.
    """
    try:
        text = read_regular(path, bytes_max=BYTES_MAX)
        file = _FleetFileModel.model_validate(tomllib.loads(text.decode()))
    except OSError as wrong:
        raise Refused(f"{path}: {wrong.strerror}") from None
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        fields = (AgentSpec if len(first["loc"]) > 1 else _FleetFileModel).model_fields
        unknown = f"there is no such field; there are: {', '.join(fields)}"
        problem = unknown if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise Refused(f"{path}: {place}: {problem.replace('Input should be', 'must be')}") from None
    except ValueError as wrong:  # invalid TOML, with the line, or invalid UTF-8
        raise Refused(f"{path}: {wrong}") from None
    return FleetFile(path, _checked(path, file.agents, known))


def _checked(path: Path, agents: Mapping[str, AgentSpec], known: Iterable[str]) -> dict[str, AgentSpec]:
    names: dict[str, str] = {}
    for name in agents:
        if not is_agent_id(name):
            raise Refused(f"{path}: agents.{name}: invalid agent id: use at most 63 of A-Z a-z 0-9 . _ -")
        if name.casefold() in names:
            other = names[name.casefold()]
            raise Refused(f"{path}: agents.{name}: differs from agents.{other} in case only: rename one of them")
        names[name.casefold()] = name
    for name, one in agents.items():
        if one.handler:
            try:
                one.handler = located(one.handler, path.parent)
            except Refused as wrong:
                raise Refused(f"{path}: agents.{name}.handler: {wrong}") from None
    others = {one.casefold() for one in known}
    for name, one in agents.items():
        for field, named in [("depends_on", other) for other in one.depends_on] + [("backup", one.backup or name)]:
            if named.casefold() not in names and named.casefold() not in others:
                raise Refused(f"{path}: agents.{name}.{field}: {named!r} is neither in this file nor in the fleet")
        if one.backup is not None and one.backup.casefold() == name.casefold():
            raise Refused(f"{path}: agents.{name}.backup: an agent cannot be its own backup: name another one")
    graph = {name.casefold(): [other.casefold() for other in one.depends_on] for name, one in agents.items()}
    for key in graph:
        cycle = dependencies.cycle(graph, key)
        if cycle:
            path_of_cycle = " → ".join(names[one] for one in cycle)
            raise Refused(f"{path}: agents.{names[key]}.depends_on: the agents depend on each other: {path_of_cycle}")
    return {names[key]: agents[names[key]] for layer in dependencies.layers(graph, graph) for key in layer}
