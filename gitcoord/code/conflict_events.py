"""The events about conflicts: their paths and severity, without the lines, which the repositories have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gitcoord.code.conflicts import Conflict, Ref
from gitcoord.core.fields import as_name
from gitcoord.features.conflicts.events import (
    FUNCTION_CHARS_MAX,
    FUNCTIONS_MAX,
    NAME_CHARS_MAX,
    PATH_CHARS_MAX,
    PATHS_MAX,
    BranchTip,
    ConflictFound,
    PathConflict,
)


def to_payloads(conflicts: Sequence[Conflict]) -> list[ConflictFound]:
    """Return conflicts as they can be recorded: invisible characters are spelled out, and long texts are cut."""
    return [
        ConflictFound(
            a=_branch(one.a),
            b=_branch(one.b),
            severity=one.severity,
            more=max(0, len(one.paths) - PATHS_MAX),
            paths=[
                PathConflict(
                    path=_text(path.path, PATH_CHARS_MAX),
                    kind=path.kind,
                    lines=path.lines,
                    functions=[
                        _text(function, FUNCTION_CHARS_MAX)
                        for function in dict.fromkeys(hunk.function for hunk in path.hunks)
                        if function
                    ][:FUNCTIONS_MAX],
                )
                for path in one.paths[:PATHS_MAX]
            ],
        )
        for one in conflicts
    ]


def shared(
    conflicts: Sequence[Conflict], refs: Sequence[Ref], names: Mapping[str, str]
) -> tuple[list[Conflict], list[Ref]]:
    """Return conflicts and all examined refs with the remote's names. `names`: commit → its branch on the remote.

    A branch that has such a name but another commit is left out: until it is pushed, only this clone knows it.
    """
    taken = set(names.values())
    known = {
        ref: replace(ref, name=names.get(ref.commit, ref.name))
        for ref in refs
        if ref.commit in names or ref.name not in taken
    }
    return (
        [replace(one, a=known[one.a], b=known[one.b]) for one in conflicts if one.a in known and one.b in known],
        list(known.values()),
    )


def names_of(refs: Iterable[Ref]) -> list[str]:
    """Return the names of branches as events have them."""
    return [_text(one.name, NAME_CHARS_MAX) for one in refs]


def _branch(ref: Ref) -> BranchTip:
    return BranchTip(name=_text(ref.name, NAME_CHARS_MAX), commit=ref.commit, agent=ref.agent)


def _text(path: str, most: int) -> str:
    """Return a path as visible text: it need not be UTF-8, and anybody with push access can choose it."""
    return as_name(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), most)
