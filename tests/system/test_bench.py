"""The benchmarks run, show what they promise to show, and tell nothing of whose machine it is. No time is asserted."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import WAIT_S

TOP = Path(__file__).resolve().parents[2]
BENCH = TOP / "benchmarks"
RESULTS = sorted((BENCH / "results").glob("*.json"))


def bench(*words: str, code: int = 0, where: Path = BENCH) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(where / "bench.py"), *words],
        text=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
        timeout=WAIT_S,
    )
    assert done.returncode == code, done.stderr
    return done


def check_figure(figure: dict[str, Any]) -> None:
    assert figure["measured"] and figure["machine"]["processors"]
    for series in [*figure["measured"], *([figure["floor"]] if figure["floor"] else [])]:
        assert series["n"] >= 1
        assert series["min"] <= series["quartiles"][0] <= series["median"] <= series["quartiles"][1] <= series["max"]
    for check in figure["checks"]:
        enough = check["value"] >= check["limit"] if check["least"] else check["value"] <= check["limit"]
        assert check["met"] == enough


@pytest.mark.parametrize(
    "name", ["append-queued", "append-sequenced", "drain", "idle-round", "refold", "storage", "mixed", "conflicts"]
)
def test_a_figure_is_taken_beside_its_floor(name: str, tmp_path: Path) -> None:
    told = json.loads(bench("--quick", "--json", "--cache", str(tmp_path), name).stdout)
    assert told["schema"] == "gitcoord.bench/1" and told["quick"] and not told["failed"]
    assert told["figures"]
    for figure in told["figures"]:
        check_figure(figure)


def test_a_day_of_four_agents_loses_no_work_and_every_conflict_is_told_before_the_merge() -> None:
    """Two clones, two work trees, MCP and the command line, a killed agent, an outage: benchmarks/day.py."""
    [figure] = json.loads(bench("--quick", "--json", "day").stdout)["figures"]
    check_figure(figure)
    assert [check["what"] for check in figure["checks"] if not check["met"]] == [], figure


def test_what_changed_is_shown(tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(bench("--quick", "--json", "append-queued").stdout)
    told = bench("--quick", "--compare", str(before), "append-queued").stdout
    assert re.search(r"append-queued: of a bare write \+ fsync", told.split("then → now")[1])


def test_an_unknown_figure_is_refused() -> None:
    assert "there are: append-queued" in bench("warp-speed", code=2).stderr


def test_pages_are_drawn_from_results_alone(tmp_path: Path) -> None:
    copy = tmp_path / "benchmarks"
    shutil.copytree(BENCH, copy, ignore=shutil.ignore_patterns("__pycache__"))
    told = tmp_path / "told.json"
    told.write_text(bench("--quick", "--json", "append-queued").stdout)
    bench("--draw", str(told), where=copy)
    page = (copy / "README.md").read_text(encoding="utf-8")
    assert page.count("append, QUEUED (synced to disk)") == 1
    drawn = page.split("BEGIN FIGURES")[1].split("END FIGURES")[0]
    for line in drawn.splitlines():
        assert not line.startswith("| ") or line.count(" |") == 6, line
    xml.parse(copy / "targets.svg")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_kept_results_are_whole_and_tell_of_no_one(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    told = json.loads(text)
    assert not told["quick"]
    for figure in told["figures"]:
        check_figure(figure)
    assert not re.search(r'"[^"]*(?:/home/|/tmp/|/root|/Users/)', text)
    assert socket.gethostname() not in text and (getpass.getuser() == "root" or getpass.getuser() not in text)


def test_the_page_shows_the_kept_results() -> None:
    page = (BENCH / "README.md").read_text(encoding="utf-8")
    for path in RESULTS:
        for figure in json.loads(path.read_text(encoding="utf-8"))["figures"]:
            assert figure["what"] in page
