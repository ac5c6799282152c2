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
                return _way(before, start, one)
            if needed not in before:
                before[needed] = one
                waiting.append(needed)
    return []


def _way(before: Mapping[str, str], start: str, last: str) -> list[str]:
    way = [last]
    while way[-1] != start:
        way.append(before[way[-1]])
    return [*reversed(way), start]


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


def needed_by(graph: Graph, one: str) -> list[str]:
    """Return all that `one` needs, directly or not, in no particular order, without `one` itself."""
    return _reached(graph, one)


def dependants(graph: Graph, one: str) -> list[str]:
    """Return all that need `one`, directly or not, nearest first."""
    turned: dict[str, list[str]] = {}
    for name, needs in graph.items():
        for needed in needs:
            turned.setdefault(needed, []).append(name)
    return _reached(turned, one)


def _reached(graph: Graph, start: str) -> list[str]:
    found: dict[str, None] = {start: None}
    for_later = [start]
    for one in for_later:
        for other in graph.get(one, ()):
            if other not in found:
                found[other] = None
                for_later.append(other)
    return list(found)[1:]
