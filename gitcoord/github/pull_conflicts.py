"""Conflicts of a pull request with its base and others: by trial merges, or by patches if git lacks the objects."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitcoord.code import branches, conflicts, fetched
from gitcoord.code.conflicts import Conflict, ConflictedPath, Ref
from gitcoord.code.fetched import Source
from gitcoord.core.errors import GitcoordError
from gitcoord.features.pages.markdown import inline
from gitcoord.github import diff_lines
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import ChangedFile, PullRequest
from gitcoord.github.verdict import ConflictPlace, PullConflict

BY_PATCHES_MAX = 30  # other pull requests whose files are fetched: one request each, at least


@dataclass(frozen=True, slots=True)
class PullConflicts:
    """The conflicts, and in `not_checked` texts for the review about what could not be examined."""

    found: tuple[PullConflict, ...]
    not_checked: tuple[str, ...] = ()


def of(
    client: Client,
    pull: PullRequest,
    files: Sequence[ChangedFile],
    others: Sequence[PullRequest],
    *,
    source: Source | None,
    agents: Iterable[str],
) -> PullConflicts:
    """Return the conflicts with the base and with `others`. Pull requests onto another base are left out.

    `source` is the git remote for trial merges; None: only patches are compared. `agents` has the fleet's agent ids.
    """
    rivals = [one for one in others if one.number != pull.number and one.base_ref == pull.base_ref]
    why = "this is not a clone of its repository"
    if source is not None:
        try:
            return _by_merging(pull, rivals, source, list(agents))
        except GitcoordError as wrong:
            why = str(wrong).splitlines()[0]
    return _by_patches(client, pull, files, rivals, why)


def _by_merging(pull: PullRequest, rivals: Sequence[PullRequest], source: Source, agents: list[str]) -> PullConflicts:
    with fetched.beside(source.clone) as repository:
        base_ref = f"refs/heads/{pull.base_ref}"
        base = fetched.heads(repository, source, [base_ref]).get(base_ref, pull.base)
        there = fetched.bring(repository, source, [base, pull.head, *(one.head for one in rivals)])
        if not {base, pull.head} <= there:
            raise GitcoordError("the remote does not have its commits any more")
        mine = Ref(f"#{pull.number}", pull.head)
        refs = [
            Ref(f"#{one.number}", one.head, branches.agent_of(one.head_ref, agents))
            for one in rivals
            if one.head in there
        ]
        found = conflicts.between(repository, [mine, *refs], base=Ref(pull.base_ref, base), now_s=time.time(), of=mine)
    gone = ", ".join(f"#{one.number}" for one in rivals if one.head not in there)
    not_checked = (f"could not be merged on trial with {inline(gone)}: the commits are gone",) if gone else ()
    return PullConflicts(tuple(_conflict(one, mine, pull.base_ref) for one in found.conflicts), not_checked)


def _conflict(one: Conflict, mine: Ref, base: str) -> PullConflict:
    ours_first = one.a == mine
    rival = one.b if ours_first else one.a
    places = tuple(place for path in one.paths for place in _places(path, ours_first))
    return PullConflict(rival.name, rival.name == base, places, one.severity, rival.agent)


def _places(path: ConflictedPath, ours_first: bool) -> list[ConflictPlace]:
    name = path.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if not path.hunks:
        return [ConflictPlace(name, path.kind)]
    sides = [
        (hunk.ours_at, hunk.ours, hunk) if ours_first else (hunk.theirs_at, hunk.theirs, hunk) for hunk in path.hunks
    ]
    return [ConflictPlace(name, path.kind, at, at + max(len(lines), 1) - 1, hunk.function) for at, lines, hunk in sides]


def _by_patches(
    client: Client, pull: PullRequest, files: Sequence[ChangedFile], rivals: Sequence[PullRequest], why: str
) -> PullConflicts:
    """Return GitHub's own answer for the base, and compare changed lines with others. The latter is a guess, and marked
    as one (`certain`)."""
    found = [PullConflict(pull.base_ref, True, ())] if pull.mergeable is False else []
    mine = {file.path: _spans(file) for file in files}
    for rival in rivals[:BY_PATCHES_MAX]:
        places = [place for file in client.files(rival.number).listed for place in _overlaps(file, mine)]
        if places:
            found.append(PullConflict(f"#{rival.number}", False, tuple(places), certain=False))
    not_checked = [f"was not merged on trial, its patches were compared: {inline(why, most=200)}"]
    if pull.mergeable is None:
        not_checked.append(f"GitHub has not said yet whether it can be merged into {inline(pull.base_ref)}")
    if len(rivals) > BY_PATCHES_MAX:
        not_checked.append(f"was compared with the {BY_PATCHES_MAX} of {len(rivals)} pull requests that changed last")
    return PullConflicts(tuple(found), tuple(not_checked))


def _overlaps(file: ChangedFile, mine: dict[str, list[tuple[int, int]] | None]) -> list[ConflictPlace]:
    if file.path not in mine:
        return []
    ours, theirs = mine[file.path], _spans(file)
    if ours is None or theirs is None:
        return [ConflictPlace(file.path, "no patch")]
    return [ConflictPlace(file.path, "content") for a in ours if any(a[0] <= b[1] and b[0] <= a[1] for b in theirs)][:1]


def _spans(file: ChangedFile) -> list[tuple[int, int]] | None:
    """Return the spans of the base that a file's patch shows; None if GitHub shows no patch."""
    if file.patch is None:
        return None
    return diff_lines.spans(file.patch)
