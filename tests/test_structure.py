"""The structure of the code: what import-linter's contracts cannot say."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from gitcoord.core.event_types import EventTypes
from gitcoord.features import FEATURES, OWN_EVENTS

TOP = Path(__file__).resolve().parents[1] / "gitcoord"
GRAPH = grimp.build_graph("gitcoord")

SAME_NAMES = {
    # By convention: `State()` is looked for in each feature (ARCHITECTURE.md)
    "State": "what one feature keeps; the simulator's feature has one too"
}
"""Class names that occur more than once in `gitcoord/`, each with the reason."""


@pytest.mark.parametrize("package", ["core", "simulation"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    modules = GRAPH.find_descendants(f"gitcoord.{package}")
    imports = {module: GRAPH.find_modules_directly_imported_by(module) & modules for module in modules}
    assert len(imports) > 20
    assert list(TopologicalSorter(imports).static_order())  # it raises CycleError, which names the circle


def test_no_class_name_occurs_twice_without_a_reason() -> None:
    names = Counter(
        node.name
        for path in sorted(TOP.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 300
    assert {name for name, count in names.items() if count > 1} == set(SAME_NAMES)


def test_the_types_that_append_refuses_are_those_that_features_and_the_core_write() -> None:
    assert OWN_EVENTS == EventTypes(FEATURES)._models.keys()
