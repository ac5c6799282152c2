"""`scripts/conflict-check REPO`: how many of a repository's own merges are judged as git judges them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.code import git_oracle
from tests.waiting import WAIT_S

TOP = Path(__file__).resolve().parents[2]
BUNDLE = TOP / "tests" / "data" / "merges.bundle"
# Makes environments at once, without a package index: all that is installed in one is what the tests have.
PYTHON = """#!/bin/sh
case "$1 $2 $3" in
"-I -m venv") mkdir -p "$4/bin" && ln -s "$0" "$4/bin/python" ;;
"-I -m pip") ;;
*) exec '%s' "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth") / "repository"
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(BUNDLE), str(folder)], check=True)
    return folder


def check(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The script, in a tree as somebody has who just cloned it."""
    tree, python = folder / "tree", folder / "python"
    shutil.copytree(TOP / "scripts", tree / "scripts")
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(TOP / name, tree)
    (tree / "gitcoord").symlink_to(TOP / "gitcoord")
    python.write_text(PYTHON % sys.executable)
    python.chmod(0o755)
    return subprocess.run(
        [str(tree / "scripts" / "conflict-check"), *words],
        cwd=folder,
        text=True,
        capture_output=True,
        env=os.environ | {"PYTHON": str(python)},
        timeout=WAIT_S,
    )


def test_the_script_tells_how_many_of_how_many_agree(path: Path, tmp_path: Path) -> None:
    done = check(tmp_path, os.path.relpath(path, tmp_path))
    assert (done.returncode, done.stdout) == (0, "23 of 23 merges are judged as by git merge; 16 of them conflict\n"), (
        done.stderr
    )


def test_only_the_newest_are_compared_if_wished(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert git_oracle.main([str(path), "2"]) == 0
    assert capsys.readouterr().out.startswith("2 of 2 merges")


def test_what_is_judged_otherwise_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def otherwise(repository: Path, pairs: list[tuple[str, str]]) -> Iterator[frozenset[str]]:
        yield from (frozenset({"elsewhere"}) for _ in pairs)

    monkeypatch.setattr(git_oracle, "by_git_merge", otherwise)
    assert git_oracle.main([str(path), "2"]) == 1
    *named, last = capsys.readouterr().out.splitlines()
    assert len(named) == 2 and all("git merge ['elsewhere'], trial" in line for line in named)
    assert last.startswith("0 of 2 merges")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage: scripts/conflict-check REPO [HOW_MANY]"),
        (["a", "many"], "usage: "),
        (["a", "1", "2"], "usage: "),
        (["nowhere"], "is in no git repository"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_right(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert git_oracle.main(words) == 2
    assert said in capsys.readouterr().err
