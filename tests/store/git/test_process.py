"""What a process of git's may use: more ends it, and it alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gitcoord.store.git.process import Bounds

MIB = 1024 * 1024
WIDE = {"file_bytes": 64 * MIB, "memory_bytes": 1024 * MIB, "cpu_s": 100}


@pytest.mark.skipif(os.name == "nt", reason="Windows bounds the time alone")
@pytest.mark.parametrize(
    ("bound", "program"),
    [
        ({"file_bytes": MIB}, "open('large', 'wb').write(bytes(4 * 1024 * 1024))"),
        ({"memory_bytes": 256 * MIB}, "bytes(512 * 1024 * 1024)"),
        ({"cpu_s": 1}, "while True: pass"),
    ],
)
def test_a_process_that_takes_more_is_ended(tmp_path: Path, bound: dict[str, int], program: str) -> None:
    def ends(bounds: Bounds, *words: str) -> int:
        command = bounds.applied([sys.executable, "-c", *words])
        return subprocess.run(command, cwd=tmp_path, stderr=subprocess.DEVNULL, check=False).returncode

    bounds = Bounds(**(WIDE | bound))
    assert ends(bounds, program) != 0
    assert ends(bounds, "import sys; sys.exit(sys.argv[1:] != ['a b', '$x'])", "a b", "$x") == 0
