"""Mutants take minutes: `pytest -m mutants` runs them, as a stage of `.ci/run` of their own does."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name == "test_mutants.py":
            item.add_marker(pytest.mark.mutants)
