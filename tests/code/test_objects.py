"""Objects of a user's repository are read in bounded memory."""

from __future__ import annotations

import subprocess
import tracemalloc
from pathlib import Path

from gitcoord.code.objects import BLOB_BYTES_MAX, Repository

MIB = 1024 * 1024


def put(path: Path, data: bytes) -> str:
    command = ["git", "-C", str(path), "hash-object", "-w", "--stdin"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def test_of_a_large_blob_the_first_part_is_kept_and_no_more_was_ever_in_memory(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    large, small = put(tmp_path, b"first\n" + bytes(32 * MIB)), put(tmp_path, b"second\n")
    with Repository(tmp_path) as repository:
        tracemalloc.start()
        try:
            found = repository.blob(large)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found.startswith(b"first\n") and len(found) == BLOB_BYTES_MAX
        assert peak < 4 * BLOB_BYTES_MAX
        assert repository.blob(small) == b"second\n" and repository.blob(large) == found
        assert repository.blob("0" * 40) == b""
