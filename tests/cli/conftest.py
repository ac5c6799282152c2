"""What the command line's tests begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.clones import Clone, copied


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> list[Clone]:
    """The founder's clone, and bob's where the test asks for it."""
    return copied(tmp_path, "alice", *(["bob"] if "bob" in request.fixturenames else []))


@pytest.fixture
def alice(pair: list[Clone]) -> Clone:
    """The founder of a fleet, alone."""
    return pair[0]


@pytest.fixture
def bob(pair: list[Clone]) -> Clone:
    """Another clone of alice's fleet."""
    return pair[1]
