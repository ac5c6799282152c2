"""The fleet's state as a review needs it, copied from the fold, so that a thread may read it while the fold goes on."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gitcoord.core.commands import Context
from gitcoord.core.fold.members import Members
from gitcoord.features import paths
from gitcoord.features.pages.markdown import inline
from gitcoord.features.reservations.state import Reservation, in_force
from gitcoord.features.reviews.state import Pull, key
from gitcoord.features.settings import Settings
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.state import Task

TASKS_MAX = 1000
WORDS_MAX = 200  # words of a task's text that may be paths
TEXT_MAX = 20_000
_WORD = re.compile(r"[\w.+@-]*(?:/[\w.*?+@-]+)+/?|[\w+@-]+(?:\.[\w+-]+)+")


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task in progress, and the words in it that may be paths."""

    id: str
    title: str
    agent: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountClaim:
    """An account that an agent claims, and the key that must sign a proof of it."""

    login: str
    key: str


@dataclass(frozen=True, slots=True)
class FleetContext:
    """The fleet at one moment; empty if there is no fleet."""

    settings: Settings = field(default_factory=lambda: Settings.model_validate({}))
    agents: tuple[str, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    tasks: tuple[RunningTask, ...] = ()
    pulls: Mapping[str, Pull] = field(default_factory=dict)
    logins: Mapping[str, frozenset[str]] = field(default_factory=dict)  # confirmed logins → agents; all casefolded
    fleet_id: str = ""
    claims: Mapping[str, AccountClaim] = field(default_factory=dict)  # of agents whose account is not confirmed

    def namesake(self, login: str | None) -> str:
        """Return the account's name (casefolded): an agent with that id may have the account. Return "" if that agent's
        account is known."""
        name = (login or "").casefold()
        known = {agent for agents in self.logins.values() for agent in agents}
        return "" if name in known else name

    def agents_of(self, login: str | None) -> frozenset[str]:
        """Return the ids (casefolded) of the agents that are confirmed to have this account."""
        return self.logins.get((login or "").casefold(), frozenset())

    def pull(self, repo: str, number: int) -> Pull | None:
        return self.pulls.get(key(repo, number))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Work of somebody else on paths that a pull request changes."""

    agent: str
    what: str  # Markdown after the agent's name: "has reserved this until …"
    paths: tuple[str, ...]


def gather(ctx: Context) -> FleetContext:
    """Return the fleet's present state."""
    tasks: task_state.State = ctx.state("tasks")
    held = [uid for ids in tasks.held.values() for uid in ids][:TASKS_MAX]
    return FleetContext(
        ctx.state("settings").settings,
        tuple(member.id for member in ctx.fleet.members.by_id.values()),
        tuple(in_force(ctx)),
        tuple(_running(tasks.tasks[uid]) for uid in held),
        copy.deepcopy(ctx.state("reviews").pulls),
        {
            one.github.casefold(): ctx.fleet.members.of_login(one.github)
            for one in ctx.fleet.members.by_id.values()
            if one.github
        },
        ctx.fleet.id or "",
        _claims(ctx.fleet.members),
    )


def _claims(members: Members) -> dict[str, AccountClaim]:
    """Return the claims that a proof can confirm, by agent id, as `Members` decides when it folds the event."""
    if members.founded is not None and members.founded.auth == "hmac":
        return {}
    return {
        one.id: AccountClaim(one.claim, one.key)
        for one in members.by_id.values()
        if one.claim and not one.github and members.role_of(one.id) and one.key not in members.revoked
    }


def _running(task: Task) -> RunningTask:
    named = task.data.get("paths", [])
    listed = [str(path) for path in named] if isinstance(named, list) else []
    words = _WORD.findall(f"{task.title}\n{task.body}"[:TEXT_MAX])
    return RunningTask(task.id, task.title, task.agent or "", tuple(dict.fromkeys([*listed, *words]))[:WORDS_MAX])


def overlaps(
    fleet: FleetContext, changed: Iterable[str], *, author: Collection[str], branch: str = ""
) -> list[Overlap]:
    """Return the reservations and tasks that concern the `changed` paths, in ledger order, without those of `author`.

    `author` has agent ids (casefolded). The author of a pull request chooses the name of its `branch`, so a task that
    the name mentions is still returned.
    """
    matcher = _PathMatcher(changed)
    found = []
    for held in fleet.reservations:
        matches = matcher.by(held.paths) if held.agent.casefold() not in author else []
        if matches:
            why = f", for {inline(held.why)}" if held.why else ""
            found.append(Overlap(held.agent, f"has reserved this until {held.until}{why}", tuple(matches)))
    for task in fleet.tasks:
        matches = matcher.by(task.words) if task.agent.casefold() not in author else []
        if matches:
            maybe = ", which the branch's name mentions" if task.id[:8] in branch else ""
            found.append(Overlap(task.agent, f"works here, on the task {inline(task.title)}{maybe}", tuple(matches)))
    return found


class _PathMatcher:
    """Changed paths, indexed by folder, so that a pattern is not tried on all of them."""

    def __init__(self, changed: Iterable[str]) -> None:
        self.paths = sorted(set(changed))
        self.below: dict[str, list[str]] = {}
        for path in self.paths:
            parts = path.split("/")
            for count in range(1, len(parts) + 1):
                self.below.setdefault("/".join(parts[:count]), []).append(path)

    def by(self, patterns: Iterable[str]) -> list[str]:
        found: set[str] = set()
        for pattern in patterns:
            plain = pattern.strip("/").removeprefix("./")
            if "*" in plain or "?" in plain:
                folder = re.split(r"[*?]", plain, maxsplit=1)[0].rpartition("/")[0]
                among = self.below.get(folder, []) if folder else self.paths
                found.update(path for path in among if paths.matches(plain, path))
            else:
                found.update(self.below.get(plain, ()))
        return sorted(found)
