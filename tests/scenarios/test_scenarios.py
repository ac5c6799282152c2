"""Scenario files: a story in plain words, the lines that are played, and what is seen.

    > bob: task claim 'Mend the parser'
        09:00:02 bob claims Mend the parser

Prose stands at the margin. Lines after `>` are played (`world.DIRECTIVES`), indented ones are what came of it.
`REWRITE=1 pytest tests/scenarios` writes down what comes of it now; read the difference before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.scenarios.world import Stage

HERE = Path(__file__).parent
SCENARIOS = sorted(HERE.glob("*.txt"))
INDENT = "    "


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_it_goes_as_it_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE.parent.parent)
    told = path.read_text(encoding="utf-8")
    played = play(told)
    if os.environ.get("REWRITE"):
        path.write_text(played, encoding="utf-8")
    assert played == told or os.environ.get("REWRITE")


def test_the_stories_are_there() -> None:
    assert len(SCENARIOS) >= 6


def play(told: str) -> str:
    """The same story, with what comes of it now."""
    stage = Stage()
    lines = []
    for line in told.splitlines():
        if line.startswith("> "):
            lines += [line, *(f"{INDENT}{one}" for one in stage.play(line.removeprefix("> ")))]
        elif not line.startswith(INDENT):
            lines.append(line)
    return "\n".join(lines) + "\n"
