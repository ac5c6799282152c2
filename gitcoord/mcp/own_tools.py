"""Tools that no feature has, because they need more than the fold: sent events, news, conflicts of branches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from gitcoord.core.commands import Answer, Arguments
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Given
from gitcoord.core.format.event import Event
from gitcoord.core.names import same_agent
from gitcoord.mcp.news import News, rows_of
from gitcoord.node import delivery
from gitcoord.node.node import Node

if TYPE_CHECKING:
    from gitcoord.code.conflicts import Conflict, Ref
    from gitcoord.code.objects import Repository

NEWS_S = 40.0  # the longest wait of `wait_for_news`; clients give up after 60 s
WAITS = "wait_for_news"  # the one tool whose call polls until there is an answer
PATHS_SHOWN = 10  # of a conflict
ORDER_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Own:
    """A tool of this server that only reads: `ask(node, actor, arguments)` returns its answer."""

    help: str
    arguments: type[BaseModel]
    ask: Callable[[Node, str, Any], Answer]
    tool: str


class ShowSent(Arguments):
    id: Given | None = Field(None, description="Only this event (default: all that are queued)")


class ShowConflicts(Arguments):
    branch: str | None = Field(None, max_length=250, description="The branch to check (default: the current one)")
    all: bool = Field(False, description="Check all branches with each other")


def sent(node: Node, actor: str, args: ShowSent) -> Answer:
    """Return how far the actor's events got, as rows in `items`. Raise Refused for an id of no such event."""
    events = [event for event in node.disk.pending() if same_agent(event.actor, actor)]
    if args.id is None:
        return {"items": [row for event in events if (row := _delivery(node, event))["level"] != "sequenced"]}
    queued = [_delivery(node, event) for event in events if event.uid.startswith(args.id)]
    return {"items": queued or [_judged(node, args.id)]}


def _delivery(node: Node, event: Event) -> dict[str, Any]:
    """Return how far an event of the queue got. For a moment an event may be in both the queue and the ledger."""
    level, position = node.level(event)
    reason = delivery.why_without_effect(node, event) if level == "sequenced" else None
    return {"id": event.uid, "level": level, "position": position, "no effect": reason, "text": event.content}


def _judged(node: Node, wanted: str) -> dict[str, Any]:
    progress = node.home.progress()
    found = {uid: place for uid, place in progress.positions.items() if uid.startswith(wanted)}
    found = found or {uid: place for uid, place in node.fleet.positions.items() if uid.startswith(wanted)}
    for uid, place in found.items():
        return {"id": uid, "level": "sequenced", "position": place, "no effect": progress.reasons.get(uid)}
    raise Refused(f"no event of this clone has an id that begins with {wanted!r}: omit `id` to list queued events")


def conflicts(node: Node, actor: str, args: ShowConflicts) -> Answer:
    """Merge branches on trial, as `gitcoord conflict check` does, and add what the leader has recorded."""
    from gitcoord.code import branches, merge_cache
    from gitcoord.code import conflicts as trial_conflicts
    from gitcoord.code.objects import Repository

    agents = [member.id for member in node.fleet.members.by_id.values()]
    with Repository(Path.cwd()) as repository:
        base = branches.base_of(repository, None)
        if base is None:
            return {"checked": "nothing: there is no commit yet"}
        refs = branches.branches(repository, base, agents)
        own = None if args.all else _branch(repository, args.branch, refs, agents)
        same = [ref for ref in refs if own is not None and ref.commit == own.commit]  # `refs` has each commit once
        everyone = [*(ref for ref in refs if ref not in same), *([own] if own is not None else [])]
        report = trial_conflicts.between(
            repository,
            everyone,
            base=base,
            now_s=time.time(),
            known=merge_cache.read(node.home.cache, repository),
            of=own,
        )
        merge_cache.save(node.home.cache, repository, report.outcomes)
    rows = [_row(one) for one in report.conflicts]
    found_now = {one["between"] for one in rows}
    recorded = rows_of(node, actor, "conflict list", **({} if args.all else {"agent": actor}))
    return {
        "checked": f"{own.name if own else 'all branches'} with {base.name} and {len(refs)} branches as fetched here",
        "items": rows,
        "recorded": [_recorded(one) for one in recorded if one["between"] not in found_now],
        "merge_in_this_order": [ref.name for ref, _ in report.order[:ORDER_SHOWN]] if args.all else [],
    }


def _branch(repository: Repository, name: str | None, refs: Sequence[Ref], agents: Sequence[str]) -> Ref:
    """Return the branch to check, by default the current one. Raise Refused for an unknown name."""
    from gitcoord.code import branches
    from gitcoord.code import conflicts as trial_conflicts
    from gitcoord.store.git import worktrees

    name = name or worktrees.current_branch(Path.cwd())
    if not name:  # detached, such as in a rebase
        return trial_conflicts.Ref("HEAD", worktrees.tip(Path.cwd(), "HEAD"))
    known = next((ref for ref in refs if ref.name == name), None)
    return known or branches.chosen(repository, [name], agents)[0]


def _row(one: Conflict) -> dict[str, Any]:
    names = sorted((one.a, one.b), key=lambda ref: ref.name)
    return {
        "severity": one.severity,
        "between": " and ".join(ref.name for ref in names),
        "agents": [ref.agent for ref in names if ref.agent],
        "paths": [_place(path.path, [hunk.function for hunk in path.hunks]) for path in one.paths[:PATHS_SHOWN]],
        "more_paths": max(0, len(one.paths) - PATHS_SHOWN) or None,
    }


def _recorded(one: Mapping[str, Any]) -> dict[str, Any]:
    paths = [_place(path["path"], path["functions"]) for path in one["paths"][:PATHS_SHOWN]]
    return {"id": one["id"], "severity": one["severity"], "between": one["between"], "paths": paths}


def _place(path: str, functions: Sequence[str]) -> str:
    named = [one for one in dict.fromkeys(functions) if one]
    return f"{path} ({', '.join(named)})" if named else path


OWN: Mapping[str, Own] = {
    WAITS: Own(
        "Wait for news: messages, tasks, directives, conflicts. Returns at once if there is any, "
        f"otherwise after {NEWS_S:.0f} s",
        Arguments,
        lambda node, actor, args: {"items": News().new(node, actor)},
        WAITS,
    ),
    "conflicts": Own(
        "Find what your branch would conflict with, before anybody merges", ShowConflicts, conflicts, "conflicts"
    ),
    "sent": Own("Show how far your events got", ShowSent, sent, "fleet_show"),
}
