"""In CI a skipped test fails the run, unless its reason is written down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import WAIT_S

TOP = Path(__file__).parents[1]
SAMPLE = """
import pytest
def test_passes(): pass
@pytest.mark.skip(reason="no moon tonight")
def test_skipped(): pass
@pytest.mark.xfail(reason="known", strict=True)
def test_known(): assert False
"""
CONFTEST = """
from pathlib import Path
from tests.skips import SkipJudge
def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipJudge(Path("skips.txt")))
"""


def run(folder: Path, skips: str, *, sample: str = SAMPLE, workers: str = "0") -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_sample.py").write_text(sample)
    (folder / "skips.txt").write_text(skips)
    # A place of its own, or it would spend its end with deleting the folders that earlier runs of all tests have left.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        workers,
        "--rootdir=.",
        f"--basetemp={folder / 'temporary'}",
    ]
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=WAIT_S)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_skip_without_a_written_reason_fails(tmp_path: Path, workers: str) -> None:
    done = run(tmp_path, "# nothing\ntest_sample.py::test_skipped\n", workers=workers)
    assert done.returncode == 1, done.stdout
    assert "test_sample.py::test_skipped  # Skipped: no moon tonight" in done.stdout
    assert "test_known" not in done.stdout


def test_a_written_reason_allows_a_skip(tmp_path: Path) -> None:
    done = run(tmp_path, "test_sample.py::test_sk  # the moon is not always up\n")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_whole_module_may_not_be_skipped_either(tmp_path: Path, workers: str) -> None:
    sample = "import pytest\npytest.importorskip('no_such_module')\ndef test_never(): pass\n"
    done = run(tmp_path, "", sample=sample, workers=workers)
    assert done.returncode == 1, done.stdout
    assert "test_sample.py  # Skipped: could not import 'no_such_module'" in done.stdout
