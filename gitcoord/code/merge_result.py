"""The outcome of a trial merge, in the form that is cached. It depends on two commits only, which never change."""

from __future__ import annotations

from dataclasses import dataclass

from gitcoord.code.hunks import Hunk, hunks
from gitcoord.code.merges import Merge
from gitcoord.code.objects import Repository


@dataclass(frozen=True, slots=True)
class Unmerged:
    """A path that the merge of two commits leaves unmerged; `messages`: git's own words."""

    path: str
    kind: str
    hunks: tuple[Hunk, ...] = ()
    messages: tuple[str, ...] = ()


Pair = tuple[str, str]  # the ids of two commits: the second merged into the first
Outcome = tuple[Unmerged, ...]  # empty: they merge cleanly


def outcome(repository: Repository, merge: Merge) -> Outcome:
    """Return the unmerged paths, each once: for a file against a link, git has a second entry with a made-up name."""
    found: dict[str, Unmerged] = {}
    for file in merge.conflicted:
        name = file.name(merge.ours, merge.theirs)
        if name not in found:
            found[name] = Unmerged(name, file.kind, tuple(hunks(repository, merge, file)), file.messages)
    return tuple(found.values())
