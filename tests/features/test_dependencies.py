"""Dependencies: layers, cycles, who needs whom."""

from __future__ import annotations

import graphlib

from hypothesis import given
from hypothesis import strategies as st

from gitcoord.features.agents import dependencies

NINE = {
    "risk": [],
    "session": [],
    "pattern": [],
    "execution": ["risk", "pattern"],
    "pair": ["session"],
    "decision": ["risk", "pattern", "execution"],
    "microstructure": ["execution"],
    "sentiment": ["decision"],
    "coordinator": ["risk", "session", "pattern", "execution", "pair", "decision", "microstructure", "sentiment"],
}


def test_who_is_needed_comes_in_an_earlier_layer() -> None:
    assert dependencies.layers(NINE, NINE) == [
        ["pattern", "risk", "session"],
        ["execution", "pair"],
        ["decision", "microstructure"],
        ["sentiment"],
        ["coordinator"],
    ]
    assert dependencies.layers(NINE, ["decision", "risk", "pair"]) == [["pair", "risk"], ["decision"]]


def test_a_cycle_is_named_from_its_start_to_itself() -> None:
    assert dependencies.cycle({"a": ["b"], "b": ["c", "d"], "c": ["a"]}, "a") == ["a", "b", "c", "a"]
    assert dependencies.cycle({"a": ["a"]}, "a") == ["a", "a"]
    assert dependencies.cycle({"a": ["b"], "b": ["c"], "c": ["b"]}, "a") == []  # not on it
    assert dependencies.cycle(NINE, "coordinator") == []


def test_who_needs_whom_goes_on_through_others() -> None:
    assert dependencies.dependants(NINE, "execution") == ["decision", "microstructure", "coordinator", "sentiment"]
    assert sorted(dependencies.requirements(NINE, "microstructure")) == ["execution", "pattern", "risk"]


graphs = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), max_size=6)


@given(graphs)
def test_as_the_standard_library_says(graph: dict[str, list[str]]) -> None:
    names = {*graph, *(one for needs in graph.values() for one in needs)}
    cyclic = any(dependencies.cycle(graph, one) for one in names)
    order = [one for layer in dependencies.layers(graph, names) for one in layer]
    assert sorted(order) == sorted(names)
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError:
        assert cyclic
    else:
        assert not cyclic
        assert all(order.index(needed) < order.index(one) for one, needs in graph.items() for needed in needs)
