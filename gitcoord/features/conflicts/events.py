"""Events about conflicts: two branches conflict, as a trial merge found, or a conflict is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, StringConstraints

from gitcoord.core.fields import NAMED, Agent, Count, Payload, Words
from gitcoord.core.fold.authority import ADMIN, LEADER, MEMBER, OWNER, Who

PATHS_MAX = 20  # per conflict; there may be more
FUNCTIONS_MAX = 20  # per path
NAME_CHARS_MAX, PATH_CHARS_MAX, FUNCTION_CHARS_MAX = 250, 500, 200

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX), NAMED]
Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
PathName = Annotated[str, Field(min_length=1, max_length=PATH_CHARS_MAX), NAMED]
Kind = Annotated[str, Field(max_length=20), NAMED]
Function = Annotated[str, Field(max_length=FUNCTION_CHARS_MAX), NAMED]
Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class BranchTip(Payload):
    """A branch or pull request, by the commit that was examined."""

    name: Name
    commit: Commit
    agent: Agent | None = None


class PathConflict(Payload):
    """A path that both branches changed, and git's kind of conflict."""

    path: PathName
    kind: Kind
    lines: Count = 0
    functions: list[Function] = Field([], max_length=FUNCTIONS_MAX)


class ConflictFound(Payload):
    """The author merged two branches on trial, and they conflict."""

    a: BranchTip
    b: BranchTip
    paths: list[PathConflict] = Field(min_length=1, max_length=PATHS_MAX)
    more: Count = Field(0, description="the number of conflicting paths that are left out")
    severity: Severity


class ConflictClosed(Payload):
    """The conflict that the event's `re` names is over: the branches were merged or changed, or a member settled it."""

    reason: Words = ""


EVENTS: Mapping[str, type[BaseModel]] = {"conflict_found": ConflictFound, "conflict_closed": ConflictClosed}
AUTHORITY: Mapping[str, Who] = {"conflict_found": MEMBER, "conflict_closed": OWNER | ADMIN | LEADER}
