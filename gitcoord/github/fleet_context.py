"""The fleet's state as a review needs it: copied from the fold, so that it may be read while the fold goes on."""

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
    """A task at work, and the words in it that may be paths."""

    id: str
    title: str
    agent: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountClaim:
    """An agent's claim to an account, and the key that signs a proof of it."""

    login: str
    key: str


@dataclass(frozen=True, slots=True)
class FleetContext:
    """The fleet at a moment; empty without a fleet."""

    settings: Settings = field(default_factory=lambda: Settings.model_validate({}))
    agents: tuple[str, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    tasks: tuple[RunningTask, ...] = ()
    pulls: Mapping[str, Pull] = field(default_factory=dict)
    logins: Mapping[str, frozenset[str]] = field(default_factory=dict)  # confirmed logins → agents; all casefolded
    fleet_id: str = ""
    claims: Mapping[str, AccountClaim] = field(default_factory=dict)  # of agents whose account is not confirmed

    def namesake(self, login: str | None) -> str:
        """Return the agent (casefolded) with the account's name, if it has claimed no account."""
        name = (login or "").casefold()
        known = {agent for agents in self.logins.values() for agent in agents}
        return "" if name in known else name

    def agents_of(self, login: str | None) -> frozenset[str]:
        """Return the agents that are confirmed to be this account. A branch's name proves nothing."""
        return self.logins.get((login or "").casefold(), frozenset())

    def pull(self, repo: str, number: int) -> Pull | None:
        return self.pulls.get(key(repo, number))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Work of somebody else on paths that a pull request changes."""

    agent: str
    what: str  # in words for Markdown: "has reserved this until …"
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
    """Return the claims that a proof can confirm (`Members` says the same of the event)."""
    if members.founded is not None and members.founded.auth == "hmac":
        return {}
    return {
        one.id: AccountClaim(one.claim, one.key)
        for one in members.by_id.values()
        if one.claim and not one.github and members.role_of(one.id) and one.key not in members.revoked
    }


def _running(task: Task) -> RunningTask:
    named = task.data.get("paths", [])
    said = [str(path) for path in named] if isinstance(named, list) else []
    words = _WORD.findall(f"{task.title}\n{task.body}"[:TEXT_MAX])
    return RunningTask(task.id, task.title, task.agent or "", tuple(dict.fromkeys([*said, *words]))[:WORDS_MAX])


def overlaps(
    fleet: FleetContext, changed: Iterable[str], *, author: Collection[str], branch: str = ""
) -> list[Overlap]:
    """Yield reservations and tasks that concern these paths, in the order of the log; not those of `author`.

    The author of a pull request chooses the name of its branch: that hides nothing, and is only mentioned.
    """
    touched = _PathMatcher(changed)
    found = []
    for held in fleet.reservations:
        hit = touched.by(held.paths) if held.agent.casefold() not in author else []
        if hit:
            why = f", for {inline(held.why)}" if held.why else ""
            found.append(Overlap(held.agent, f"has reserved this until {held.until}{why}", tuple(hit)))
    for task in fleet.tasks:
        hit = touched.by(task.words) if task.agent.casefold() not in author else []
        if hit:
            maybe = ", which the branch's name mentions" if task.id[:8] in branch else ""
            found.append(Overlap(task.agent, f"works here, on the task {inline(task.title)}{maybe}", tuple(hit)))
    return found


class _PathMatcher:
    """Changed paths, searched by pattern without trying them all."""

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
