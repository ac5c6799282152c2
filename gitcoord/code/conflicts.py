"""Conflicts between branches, before anybody merges them: authors, paths, severity, and a good order of merging."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.code import merges
from gitcoord.code.changed_paths import ChangedPaths, changed_by, common_ancestor
from gitcoord.code.hunks import Hunk
from gitcoord.code.merge_result import Outcome, Pair, Unmerged, outcome
from gitcoord.code.objects import Repository
from gitcoord.features.conflicts.events import Severity

REFS_MAX = 2000
BATCH = 200  # pairs that one process of git merges
LEVELS: tuple[Severity, ...] = ("low", "medium", "high", "critical")
WEIGHTS = {"content": 1.0, "mode": 0.5, "rename": 2.0, "delete": 2.0, "directory": 3.0, "binary": 3.0, "submodule": 3.0}
"""Kind of conflict → the weight of its path: a conflict without markers is harder to settle than one of content."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or a pull request, by its commit; `agent`: its author, if known."""

    name: str
    commit: str
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class ConflictedPath:
    """A path that the merge of two refs leaves unmerged. `central`: how many of the refs changed it."""

    path: str
    kind: str
    hunks: tuple[Hunk, ...]
    central: int
    messages: tuple[str, ...]

    @property
    def lines(self) -> int:
        return sum(hunk.lines for hunk in self.hunks)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two refs that git cannot merge by itself. `age_s`: seconds since the newest commit of the older one."""

    a: Ref
    b: Ref
    paths: tuple[ConflictedPath, ...]
    age_s: float

    @property
    def score(self) -> float:
        """Return the weight: the sum over paths of kind and lines, times a factor for refs that changed the path.

        It grows with age, and doubles in 30 days.
        """
        size = sum((WEIGHTS[one.kind] * 5 + one.lines) * math.sqrt(one.central) for one in self.paths)
        return size * (1 + min(self.age_s / 86_400, 30) / 30)

    @property
    def severity(self) -> Severity:
        return LEVELS[sum(self.score >= least for least in (10, 50, 200))]


@dataclass(slots=True)
class ConflictReport:
    """All conflicts among some refs, the worst first."""

    conflicts: list[Conflict] = field(default_factory=list)
    pairs: int = 0
    tried: int = 0  # pairs with a changed path in common
    order: list[tuple[Ref, int]] = field(default_factory=list)  # each with how many before it conflict with it
    outcomes: dict[Pair, Outcome] = field(default_factory=dict)  # all known outcomes; those of these refs come last


def between(
    repository: Repository,
    refs: Sequence[Ref],
    *,
    base: Ref | None = None,
    now_s: float,
    known: Mapping[Pair, Outcome] | None = None,
    of: Ref | None = None,
) -> ConflictReport:
    """Merge on trial every pair of refs, and each ref with the base. `of`: only the pairs of this ref.

    `known`: outcomes of earlier trials. A path that one of two refs has just as the base has it is no conflict of these
    two: the other ref conflicts with the base there, or merges cleanly after the first. Raise GitcoordError
    if git fails.
    """
    everyone = [*refs, *([base] if base else [])]
    ancestor = common_ancestor(repository, [one.commit for one in everyone])
    changes = {one.commit: changed_by(repository, ancestor, one.commit) for one in everyone}
    pairs = [
        pair for pair in itertools.combinations(everyone, 2) if pair[0].commit != pair[1].commit and of in (None, *pair)
    ]
    tried = [pair for pair in pairs if changes[pair[0].commit].may_conflict(changes[pair[1].commit])]
    done = dict(known or {})
    missing = list(dict.fromkeys((a.commit, b.commit) for a, b in tried if (a.commit, b.commit) not in done))
    for first in range(0, len(missing), BATCH):
        for merge in merges.trial(repository, missing[first : first + BATCH]):
            done[merge.ours, merge.theirs] = outcome(repository, merge)
    for a, b in tried:
        done[a.commit, b.commit] = done.pop((a.commit, b.commit))
    dates, inherited = _dates(repository, everyone), _Inherited(repository, base)
    conflicts = [
        Conflict(
            a,
            b,
            tuple(_path(one, changes) for one in unmerged),
            max(0.0, now_s - min(dates[a.commit], dates[b.commit])),
        )
        for a, b in tried
        if (unmerged := [one for one in done[a.commit, b.commit] if not inherited.by_either(a, b, one.path)])
    ]
    conflicts.sort(key=lambda one: (-one.score, one.a.name, one.b.name))
    return ConflictReport(conflicts, len(pairs), len(tried), order(refs, conflicts), done)


class _Inherited:
    """The paths that a ref has just as the base. Each ref is compared once, and only if something conflicts."""

    def __init__(self, repository: Repository, base: Ref | None) -> None:
        self._repository, self._base = repository, base
        self._differing: dict[str, frozenset[str]] = {}

    @functools.cached_property
    def _paths(self) -> frozenset[str]:
        assert self._base is not None
        listed = self._repository.records("ls-tree", "-r", "-z", "--name-only", self._base.commit)
        return frozenset(path for path in listed if path)

    def by_either(self, a: Ref, b: Ref, path: str) -> bool:
        """Return whether `a` or `b` has the path just as the base. False if the base lacks it (it may be renamed)."""
        if self._base is None or self._base in (a, b) or path not in self._paths:
            return False
        return any(path not in self._of(ref.commit) for ref in (a, b))

    def _of(self, commit: str) -> frozenset[str]:
        assert self._base is not None
        if commit not in self._differing:
            self._differing[commit] = self._repository.changed(self._base.commit, commit)
        return self._differing[commit]


def _path(one: Unmerged, changes: Mapping[str, ChangedPaths]) -> ConflictedPath:
    central = sum(one.path in mark.paths for mark in changes.values())
    return ConflictedPath(one.path, one.kind, one.hunks, max(central, 1), one.messages)


def _dates(repository: Repository, refs: Iterable[Ref]) -> dict[str, float]:
    """Return the committer date of each commit, in seconds since 1970."""
    commits = list(dict.fromkeys(ref.commit for ref in refs))
    if not commits:
        return {}
    out = repository.git("log", "--no-walk=unsorted", "--format=%H %ct", *commits, "--").decode().split()
    return {commit: float(date) for commit, date in zip(out[::2], out[1::2], strict=True)}


def order(refs: Sequence[Ref], conflicts: Sequence[Conflict]) -> list[tuple[Ref, int]]:
    """Return an order of merging, each ref with the number of earlier ones that it conflicts with.

    It takes repeatedly the ref with the fewest conflicts, first with those taken, then with those left. The first of
    two conflicting refs is merged without conflict, so the refs that conflict with many others come last.
    """
    rivals: dict[str, set[str]] = {ref.name: set() for ref in refs}
    for one in conflicts:
        if one.a.name in rivals and one.b.name in rivals:
            rivals[one.a.name].add(one.b.name)
            rivals[one.b.name].add(one.a.name)
    left, ordered = {ref.name: ref for ref in refs}, list[tuple[Ref, int]]()
    while left:
        taken = {ref.name for ref, _ in ordered}
        name = min(left, key=lambda one: (len(rivals[one] & taken), len(rivals[one] & left.keys()), one))
        ordered.append((left.pop(name), len(rivals[name] & taken)))
    return ordered
