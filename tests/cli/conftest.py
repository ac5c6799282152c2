"""What the command line's tests begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.clones import Clone, make_clone, make_remote


@pytest.fixture
def alice(tmp_path: Path) -> Clone:
    """The founder of a fleet, alone."""
    return make_clone(tmp_path / "alice", make_remote(tmp_path / "remote.git"), "alice")


@pytest.fixture
def bob(alice: Clone) -> Clone:
    """Another clone of alice's fleet."""
    return make_clone(alice.path.with_name("bob"), alice.remote, "bob")
