"""System tests share a fleet of real processes on a bare repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.fleet import Clone, Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path / "fleet") as fleet:
        yield fleet


@pytest.fixture
def pair(fleet: Fleet) -> tuple[Clone, Clone]:
    return fleet.clone("alice"), fleet.clone("bob")
