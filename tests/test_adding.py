"""Adding a feature, as ARCHITECTURE.md tells it: followed word by word in a copy of the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitcoord.store.git.local_repo import make_bare_remote
from tests.waiting import WAIT_S

TOP = Path(__file__).resolve().parents[1]
TEXT = (TOP / "ARCHITECTURE.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy, with the feature of the text in it."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("gitcoord", "tests"):
        shutil.copytree(TOP / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    shutil.copy(TOP / "setup.cfg", copy)
    (copy / "gitcoord" / "features" / "poll.py").write_text(block("gitcoord/features/poll.py"), encoding="utf-8")
    listed = copy / "gitcoord" / "features" / "__init__.py"
    before, rest = listed.read_text(encoding="utf-8").split("LISTED: dict", 1)
    inside, after = rest.split("\n}\n", 1)
    listed.write_text(f"{before}LISTED: dict{inside}\n{block('the line in LISTED')}}}\n{after}", encoding="utf-8")
    return copy


def block(name: str) -> str:
    found = re.search(rf"<!-- test: {re.escape(name)} -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"ARCHITECTURE.md has no block for {name}"
    return found[1]


def run(tree: Path, *words: str, where: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=where or tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        text=True,
        capture_output=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_people_can_type_its_commands(tree: Path, tmp_path: Path) -> None:
    make_bare_remote(tmp_path / "remote.git")
    clone = tmp_path / "alice"
    clone.mkdir()

    def gitcoord(*words: str) -> str:
        return run(tree, "-m", "gitcoord", *words, where=clone)

    gitcoord("init", "--remote", str(tmp_path / "remote.git"), "--agent", "alice")
    [uid] = json.loads(gitcoord("poll", "open", "Tabs?", "--choice", "yes", "--choice", "no", "--json"))["ids"]
    gitcoord("poll", "vote", uid[:8], "yes")
    [row] = json.loads(gitcoord("poll", "list", "--json"))["items"]
    assert row == {"id": uid, "question": "Tabs?", "closed": False, "votes": {"yes": 1, "no": 0}}
    assert "poll" in gitcoord("--help")


def test_agents_can_call_it_and_the_rules_of_every_feature_hold_for_it(tree: Path) -> None:
    listed = "from gitcoord.mcp.tools import tools; print(*(name for one in tools().values() for name in one.actions))"
    assert {"poll_open", "poll_vote", "poll_list"} <= set(run(tree, "-c", listed).replace(" ", "\n").split())
    said = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/features/test_shape.py", "-k", "poll")
    assert re.search(r"\d+ passed", said)
