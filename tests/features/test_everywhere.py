"""One ledger gives one state on every machine; `.ci/run` asks each other Python that can be had here as well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.features.everywhere import digest, mixed_ledger


@pytest.mark.parametrize(
    "surroundings",
    [
        {"TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "1"},
        {"TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "4294967295", "PYTHONOPTIMIZE": "2"},
    ],
    ids=["west", "east"],
)
def test_zone_language_and_hash_seed_change_no_state(surroundings: dict[str, str]) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.features.everywhere"],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], **surroundings},
    )
    assert told.stdout.decode().strip() == digest(mixed_ledger())
