"""What people really wrote survives the way into the ledger and out of it, to the last character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from gitcoord.features import conversation
from gitcoord.node.diagnostics.verify import verify
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node
from gitcoord.node.operations import local_pages
from tests.waiting import WAIT_S

TOP = Path(__file__).resolve().parents[2]
WHOLE = TOP.parent / "shared" / "data" / "history.jsonl"
HISTORY = WHOLE if WHOLE.exists() else TOP / "tests" / "data" / "history_sample.jsonl"


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in HISTORY.read_bytes().splitlines()]


def groups(numbers: Iterable[Any]) -> set[tuple[int, ...]]:
    """Which lines belong together, whatever the numbers of their interactions are."""
    found: dict[Any, list[int]] = defaultdict(list)
    for place, number in enumerate(numbers):
        found[number].append(place)
    return set(map(tuple, found.values()))


def gitcoord(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gitcoord", *arguments],
        cwd=folder,
        capture_output=True,
        timeout=WAIT_S,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Node]:
    """Another clone, which joins after the first has imported everything."""
    folder = tmp_path_factory.mktemp("history")
    with init(folder / "first", InitRequest(agent="importer")).node as first:
        remote = str(first.config.remote)
    value = json.loads(gitcoord(folder / "first", "import", str(HISTORY), "--json"))
    assert value == {
        "schema": "gitcoord.import/1",
        "imported": len(recorded()),
        "known": 0,
        "bad": 0,
        "level": "sequenced",
    }
    with init(folder / "second", InitRequest(agent="reader", remote=remote)).node as joined:
        yield joined


def test_not_one_content_differs_in_a_second_clone(second: Node) -> None:
    lines = recorded()
    seen = [json.loads(line) for line in gitcoord(second.home.path.parent.parent, "events", "--json").splitlines()]
    seen = [one for one in seen if "source" in one["event"].get("data", {})]
    assert len(seen) == len(lines)
    for line, one in zip(lines, seen):
        event, source = one["event"], one["event"]["data"]["source"]
        shown = (source["actor"], event["type"], event["content"], source["timestamp"], source["interaction"])
        assert shown == tuple(line[name] for name in ("actor", "type", "content", "timestamp", "interaction"))
    assert [one["event"]["data"]["source"]["line"] for one in seen] == list(range(1, len(lines) + 1))
    assert groups(one["interaction"] for one in seen) == groups(line["interaction"] for line in lines)


def test_the_fold_shows_the_original_authors_and_times(second: Node) -> None:
    state = second.fleet.states["conversation"]
    events = [(position, event) for position, event in second.events() if "source" in event.data]
    assert [(event.shown_actor, event.shown_timestamp) for _, event in events] == [
        (line["actor"], line["timestamp"]) for line in recorded()
    ]
    assert None not in {conversation.number_of(state, position) for position, _ in events}


def test_it_verifies_and_renders(second: Node, tmp_path: Path) -> None:
    verdict = verify(second, history=True)
    assert (verdict.findings, verdict.races, verdict.notes) == ([], 0, [])
    assert verdict.position == second.fleet.position > len(recorded())
    written = local_pages.write_snapshot(second, tmp_path)
    assert {"communication.md", "archive.md"} <= set(written)
    page = (tmp_path / "communication.md").read_text(encoding="utf-8")
    last = recorded()[-1]
    assert last["content"].splitlines()[0] in page and local_pages.is_whole(page.encode())
    assert local_pages.write_snapshot(second, tmp_path) == []
