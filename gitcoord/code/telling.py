"""What the others are told of a conflict: where it is and how bad, without the lines, which their repositories hold."""

from __future__ import annotations

from collections.abc import Sequence

from gitcoord.code.conflicts import Conflict, Ref
from gitcoord.features.conflicts import PATHS_TOLD, Branch, ConflictFound, Place


def told(conflicts: Sequence[Conflict]) -> list[ConflictFound]:
    """Those that can be written down: a name or path that is too long for an event is cut."""
    return [
        ConflictFound(
            a=_branch(one.a), b=_branch(one.b), severity=one.severity, more=max(0, len(one.paths) - PATHS_TOLD),
            paths=[
                Place(path=_text(path.path)[:500], kind=path.kind, lines=path.lines, functions=[
                    function[:200] for function in dict.fromkeys(hunk.function for hunk in path.hunks) if function
                ][:20]) for path in one.paths[:PATHS_TOLD]
            ],
        ) for one in conflicts
    ]


def _branch(ref: Ref) -> Branch:
    return Branch(name=_text(ref.name)[:250], commit=ref.commit, agent=ref.agent)


def _text(path: str) -> str:
    """A path need not be UTF-8; an event is."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
