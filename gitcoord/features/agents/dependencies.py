"""Dependencies: a graph without cycles, in which an agent comes after the agents that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]  # name → the names that it needs; a name without an entry needs none


def cycle(graph: Graph, start: str, *, needs: Sequence[str] | None = None) -> list[str]:
    """Return a path from `start` over its dependencies back to itself, such as `[a, b, a]`; empty if there is none.

    `needs` replaces the entry of `start` in `graph`.
    """
    before: dict[str, str] = {}
    waiting = [start]
    while waiting:
        one = waiting.pop()
        for needed in needs if one == start and needs is not None else graph.get(one, ()):
            if needed == start:
                return _path(before, start, one)
            if needed not in before:
                before[needed] = one
                waiting.append(needed)
    return []


def _path(before: Mapping[str, str], start: str, last: str) -> list[str]:
    path = [last]
    while path[-1] != start:
        path.append(before[path[-1]])
    return [*reversed(path), start]


def layers(graph: Graph, wanted: Iterable[str]) -> list[list[str]]:
    """Return the `wanted` in start order (Kahn): a layer starts at once, as soon as the layers before it are up.

    Only the `wanted` names count. A cycle, which the fold never accepts, comes last as one layer.
    """
    chosen = set(wanted)
    missing = {one: {needed for needed in graph.get(one, ()) if needed in chosen and needed != one} for one in chosen}
    order = []
    while missing:
        layer = sorted(one for one, needs in missing.items() if not needs) or sorted(missing)
        order.append(layer)
        for one in layer:
            del missing[one]
        for needs in missing.values():
            needs.difference_update(layer)
    return order


def requirements(graph: Graph, one: str) -> list[str]:
    """Return all that `one` needs, directly or not, in no particular order, without `one` itself."""
    return _reached(graph, one)


def dependants(graph: Graph, one: str) -> list[str]:
    """Return all that need `one`, directly or not, nearest first."""
    reversed_graph: dict[str, list[str]] = {}
    for name, needs in graph.items():
        for needed in needs:
            reversed_graph.setdefault(needed, []).append(name)
    return _reached(reversed_graph, one)


def _reached(graph: Graph, start: str) -> list[str]:
    found: dict[str, None] = {start: None}
    queue = [start]
    for one in queue:
        for other in graph.get(one, ()):
            if other not in found:
                found[other] = None
                queue.append(other)
    return list(found)[1:]
