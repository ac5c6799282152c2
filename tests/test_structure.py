"""The structure of the code: what import-linter's contracts cannot say."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp
import pytest

GRAPH = grimp.build_graph("gitcoord")


@pytest.mark.parametrize("package", ["core", "simulation"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    modules = GRAPH.find_descendants(f"gitcoord.{package}")
    imports = {module: GRAPH.find_modules_directly_imported_by(module) & modules for module in modules}
    assert len(imports) > 20
    assert list(TopologicalSorter(imports).static_order())  # it raises CycleError, which names the circle
