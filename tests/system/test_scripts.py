"""The original two scripts: the same arguments and files, and no content is lost, changed or run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import WAIT_S

TOP = Path(__file__).resolve().parents[2]
CALLS = 5

HOSTILE = (  # each call takes three starts of Python, so much is in one
    'he said "hi", \'there\' and \\"that\\" `touch pwned` $(touch pwned) ${HOME} $HOME $((1+1)) * ? [a-z] ~ '
    '; | & > pwned < x # ! \t end {"interaction": 1}\\u0000 für später → 🙂 ',
    "one\ntwo\n\nfour\n\n",
    "\n",
    "-",
    "-n %s %d\\n\\c\\0",
    "",
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """`gitcoord` is on the PATH, as after an installation."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "gitcoord"
    command.write_text(f"#!/bin/sh\nPYTHONPATH='{TOP}' exec '{sys.executable}' -m gitcoord \"$@\"\n")
    command.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def run(script: str, *arguments: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOP / "scripts" / script), *arguments],
        cwd=cwd,
        env=env,
        text=True,
        timeout=WAIT_S,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )


def log(folder: Path) -> list[dict[str, Any]]:
    """The conversation in events.log; membership and elections left out."""
    lines = (folder / "events.log").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return [event for event in map(json.loads, lines) if event["interaction"] is not None]


def test_the_original_call_works_in_an_empty_folder(tmp_path: Path, environment: Mapping[str, str]) -> None:
    said = "How do I start the MCP server?"
    done = run("log_event.sh", "1", "Agent A", "question", said, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert run("log_event.sh", "1", "Agent B", "answer", "So.", cwd=tmp_path, env=environment).returncode == 0
    for number in ("2", "3"):
        assert run("log_event.sh", number, "Agent A", "note", "n", cwd=tmp_path, env=environment).returncode == 0
    assert run("generate_snapshot.sh", "2", cwd=tmp_path, env=environment).returncode == 0
    page, archive = (tmp_path / "communication.md").read_text(), (tmp_path / "archive.md").read_text()
    assert "### Interaction #2" in page and "### Interaction #1" not in page
    assert "## Interaction #1" in archive and said in archive
    first = log(tmp_path)[0]
    assert list(first)[:5] == ["interaction", "actor", "type", "content", "timestamp"]
    assert [first[name] for name in list(first)[:4]] == [1, "Agent A", "question", said]
    assert {event["actor"]: event["key"] for event in log(tmp_path)}.keys() == {"Agent A", "Agent B"}
    assert len({event["key"] for event in log(tmp_path)}) == 2, "no identity is shared"

    before = (tmp_path / "communication.md").read_bytes()
    assert run("generate_snapshot.sh", cwd=tmp_path, env=environment).returncode == 0
    assert (tmp_path / "communication.md.bak").read_bytes() == before
    assert "### Interaction #1" in (tmp_path / "communication.md").read_text()


def test_any_content_is_data(tmp_path: Path, environment: Mapping[str, str]) -> None:
    for content in HOSTILE:
        done = run("log_event.sh", "1", "Agent A", "note", content, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
    assert [event["content"] for event in log(tmp_path)] == list(HOSTILE)
    assert not list(tmp_path.glob("*pwned*"))


@pytest.mark.timeout(300)  # 24 starts of Python
def test_concurrent_calls_lose_nothing(tmp_path: Path, environment: Mapping[str, str]) -> None:
    """From the very first one: five at once in a folder that is no fleet yet, by four agents."""
    with ThreadPoolExecutor(CALLS) as pool:
        done = list(
            pool.map(
                lambda n: run(
                    "log_event.sh", "1", f"Agent {n % 4}", "note", f"content {n}", cwd=tmp_path, env=environment
                ),
                range(CALLS),
            )
        )
    assert [one.returncode for one in done] == [0] * CALLS, [one.stderr for one in done if one.returncode]
    assert sorted(event["content"] for event in log(tmp_path)) == sorted(f"content {n}" for n in range(CALLS))
    assert len({event["node"] for event in log(tmp_path)}) == 1


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        (
            "log_event.sh",
            ["1", "Agent A", "note"],
            "usage: log_event.sh [--allow-secret] INTERACTION ACTOR TYPE CONTENT",
        ),
        ("log_event.sh", ["one", "Agent A", "note", "x"], "usage: log_event.sh"),
        ("log_event.sh", ["", "Agent A", "note", "x"], "usage: log_event.sh"),
        ("log_event.sh", ["1", "../x", "note", "x"], "cannot name an agent"),
        ("log_event.sh", ["1", "", "note", "x"], "--agent NAME"),
        ("log_event.sh", ["1", "-rf", "note", "x"], "cannot name an agent"),
        ("generate_snapshot.sh", ["three"], "usage: generate_snapshot.sh [K]"),
        ("generate_snapshot.sh", ["1", "2"], "usage: generate_snapshot.sh [K]"),
        ("generate_snapshot.sh", [], "gitcoord init"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_right(
    tmp_path: Path, environment: Mapping[str, str], script: str, arguments: list[str], words: str
) -> None:
    done = run(script, *arguments, cwd=tmp_path, env=environment)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "events.log").exists()


def test_a_refused_event_passes_its_exit_code_on(tmp_path: Path, environment: Mapping[str, str]) -> None:
    done = run("log_event.sh", "1", "Agent A", "No Type", "x", cwd=tmp_path, env=environment)
    assert (done.returncode, "event's type" in done.stderr) == (2, True), done.stderr


def test_without_an_installation_the_tree_of_the_script_is_used(tmp_path: Path) -> None:
    """`python3` is the one that has what gitcoord needs; nothing else is on the PATH but the system's tools."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    (tmp_path / "bin" / "python3").chmod(0o755)
    system = [part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "gitcoord").exists()]
    env = os.environ | {"PATH": os.pathsep.join([str(tmp_path / "bin"), *system])}
    done = run("log_event.sh", "1", "Agent A", "note", "x", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert re.search("SEQUENCED", done.stdout)


def test_without_gitcoord_anywhere_the_message_says_so(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "log_event.sh"
    script.parent.mkdir()
    script.write_bytes((TOP / "scripts" / "log_event.sh").read_bytes())
    system = [part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "gitcoord").exists()]
    done = subprocess.run(
        ["sh", str(script), "1", "a", "b", "c"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env=os.environ | {"PATH": os.pathsep.join(system)},
    )
    assert (done.returncode, "gitcoord is not installed" in done.stderr) == (1, True)


def test_words_without_effect_end_with_3_and_the_reason(tmp_path: Path, environment: Mapping[str, str]) -> None:
    for agent in ("Agent A", "Agent B"):
        assert run("log_event.sh", "new", agent, "note", "x", cwd=tmp_path, env=environment).returncode == 0
    expel = [sys.executable, "-P", "-m", "gitcoord", "agent", "expel", "Agent B", "--as", "Agent A"]
    subprocess.run(expel, cwd=tmp_path, env=environment, check=True)
    done = run("log_event.sh", "new", "Agent B", "note", "y", cwd=tmp_path, env=environment)
    assert done.returncode == 3 and "has no effect" in done.stderr, done
