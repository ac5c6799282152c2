"""The demo, run as a user runs it: `gitcoord demo --fast`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from tests.waiting import WAIT_S, wait_until

TOP = Path(__file__).resolve().parents[2]


def environment(scratch: Path, **more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(TOP), "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"} | more


def processes_in(folder: Path) -> list[str]:
    """The command lines of processes that were told of `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


@pytest.mark.timeout(240)
def test_every_promise_of_the_fast_demo_is_kept_and_nothing_is_left_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gitcoord", "demo", "--fast"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(tmp_path, GITCOORD_AGENT="somebody else", GITCOORD_REMOTE="/nowhere"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All kept." in done.stdout
    assert "BROKEN" not in done.stdout
    assert "\x1b" not in done.stdout, "colours in a pipe"
    assert "Traceback" not in done.stderr
    assert re.search(r"leads term 2 after \d+\.\d+ s", done.stdout)  # within its bound, or it had said BROKEN
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.timeout(120)
def test_a_demo_that_is_interrupted_ends_its_children_and_removes_its_folder(tmp_path: Path, number: int) -> None:
    output = tmp_path / "output"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open(output, "wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "gitcoord", "demo", "--fast"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(scratch),
            cwd=tmp_path,
        )
        try:
            wait_until(lambda: b"3. Talk" in output.read_bytes(), what="agents that run")
            demo.send_signal(number)
            code = demo.wait(timeout=WAIT_S)
        finally:
            demo.kill()
            demo.wait()
    assert code == 128 + number
    assert b"Traceback" not in output.read_bytes()
    assert list(scratch.iterdir()) == []
    assert processes_in(scratch) == []


def test_the_package_carries_the_sample_of_the_tree() -> None:
    packaged = resources.files("gitcoord.cli") / "sample.log"
    assert packaged.read_bytes() == (TOP / "events.offline.log").read_bytes()
