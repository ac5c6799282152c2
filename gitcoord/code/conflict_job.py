"""The conflict job: at intervals, the leader checks the remote's branches for conflicts and notifies their authors."""

from __future__ import annotations

import copy
import time
from pathlib import Path

from gitcoord.code import branches, conflict_events, conflicts, fetched, merge_cache
from gitcoord.code.branches import OURS
from gitcoord.code.conflicts import REFS_MAX, Ref
from gitcoord.code.fetched import Source
from gitcoord.code.objects import Repository
from gitcoord.core.commands import Context, NewEvent
from gitcoord.features import conflicts as conflicts_feature
from gitcoord.features.settings import Settings
from gitcoord.node.agent.leader_jobs import LeaseHeld, PreparedJob

BASES = ("main", "master")


class ConflictJob:
    """A leader job (`node/agent/leader_jobs.py`). The clone stays as it is: missing commits are fetched beside it.

    `cache`: the node's cache folder, for the results of trial merges.
    """

    name = "conflicts"

    def __init__(self, source: Source, cache: Path) -> None:
        self.source, self.cache = source, cache

    def interval_s(self, ctx: Context) -> float:
        settings: Settings = ctx.state("settings").settings
        return settings.conflicts_every_s

    def prepare(self, ctx: Context) -> PreparedJob | None:
        state = copy.deepcopy(ctx.state("conflicts"))
        agents = [member.id for member in ctx.fleet.members.by_id.values()]
        return lambda lease_held: self._work(state, agents, lease_held)

    def _work(self, state: conflicts_feature.State, agents: list[str], lease_held: LeaseHeld) -> list[NewEvent]:
        with fetched.beside(self.source.clone) as repository:
            refs, base = self._branches(repository, agents)
            known = merge_cache.read(self.cache, repository)
            found = conflicts.between(repository, refs, base=base, now_s=time.time(), known=known)
            merge_cache.save(self.cache, repository, found.outcomes)
        names = conflict_events.names_of([*refs, *([base] if base else [])])
        return conflicts_feature.news(state, conflict_events.to_payloads(found.conflicts), names)

    def _branches(self, repository: Repository, agents: list[str]) -> tuple[list[Ref], Ref | None]:
        """Return the remote's branches without the default one, and the default one (None if it has none)."""
        heads = fetched.heads(repository, self.source, ["HEAD", "refs/heads/*"])
        default = heads.pop("HEAD", None)
        names = {name.removeprefix("refs/heads/"): commit for name, commit in heads.items()}
        names = {name: commit for name, commit in names.items() if not name.startswith(OURS)}
        there = fetched.bring(repository, self.source, list(names.values())[:REFS_MAX])
        refs = [
            Ref(name, commit, branches.agent_of(name, agents))
            for name, commit in sorted(names.items())
            if commit in there
        ]
        base = min(
            (one for one in refs if one.commit == default),
            key=lambda one: (one.name not in BASES, one.name),
            default=None,
        )
        return [one for one in refs if one != base], base
