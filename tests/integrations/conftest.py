"""What the tests of the integrations begin with."""

from __future__ import annotations

from pathlib import Path

import pytest


def make_repository(path: Path) -> Path:
    """Make what is taken for a repository, without the time that git takes."""
    for folder in ("objects", "refs"):
        (path / ".git" / folder).mkdir(parents=True)
    (path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A work tree in which nothing is."""
    return make_repository(tmp_path / "project")
