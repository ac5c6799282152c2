"""Workflows: written at the top of the work tree, with the source that was asked for; nothing of the user's is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gitcoord.core.errors import Refused
from gitcoord.github import workflows

SOURCES = [
    "gitcoord==0.1.0",
    "gitcoord[mcp]>=0.1,<0.2",
    "git+https://github.com/OWNER/REPO@0123abc",
    "./wheels/gitcoord.whl",
    "gitcoord @ git+ssh://git@github.com/OWNER/REPO@v1",
    "https://host.invalid/a.whl#sha256=00ff",
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def sources(clone: Path) -> set[str]:
    texts = [(clone / workflows.FOLDER / name).read_text(encoding="utf-8") for name in workflows.NAMES]
    return {job["env"]["GITCOORD_SOURCE"] for text in texts for job in yaml.safe_load(text)["jobs"].values()}


@pytest.mark.parametrize("source", SOURCES)
def test_they_install_from_the_source_that_is_asked_for(clone: Path, source: str) -> None:
    assert workflows.write(clone, source) == [str(workflows.FOLDER / name) for name in workflows.NAMES]
    assert sources(clone) == {source}


@pytest.mark.parametrize(
    "source",
    ["--index-url=https://evil.invalid", "${{ secrets.KEY }}", 'x"\n    - run: evil', "a\nb", "a\\x", "x" * 301, "-"],
)
def test_a_source_that_says_more_than_one_is_refused_and_nothing_written(clone: Path, source: str) -> None:
    with pytest.raises(Refused, match="--source"):
        workflows.write(clone, source)
    assert not (clone / ".github").exists()


def test_they_stand_at_the_top_of_the_work_tree(clone: Path) -> None:
    (clone / "docs").mkdir()
    workflows.write(clone / "docs", "gitcoord==1")
    assert (clone / workflows.FOLDER).is_dir() and not list((clone / "docs").iterdir())


def test_written_again_they_are_left_alone(clone: Path) -> None:
    workflows.write(clone, "gitcoord==1")
    assert workflows.write(clone, "gitcoord==1") == []


def test_one_that_was_changed_is_replaced_only_by_force(clone: Path) -> None:
    workflows.write(clone, "gitcoord==1")
    mine = clone / workflows.FOLDER / workflows.NAMES[1]
    mine.write_text("mine")
    (clone / workflows.FOLDER / workflows.NAMES[0]).unlink()
    with pytest.raises(Refused, match=r"gitcoord-review\.yml .*--force"):
        workflows.write(clone, "gitcoord==1")
    assert mine.read_text() == "mine" and not (clone / workflows.FOLDER / workflows.NAMES[0]).exists()
    assert len(workflows.write(clone, "gitcoord==1", force=True)) == 2
    assert sources(clone) == {"gitcoord==1"}
