"""Disk full, read-only, forbidden: said in a line or two, paused, nothing acknowledged lost, resumed by a person.

The disks are real: small file systems made by the test where it may mount, else a limit on the size of files, or
permissions that bind this user.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.store.files import RESERVE_BYTES
from tests.system.commands import Clone, new_clone
from tests.waiting import wait_until

LARGE = "x" * 20_000  # does not fit into what is left of the queue's last block
LIMIT_BYTES = 16 * 1024  # where nothing can be mounted: no file grows beyond


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[bool]:
    """A file system of 4 MiB at `folder`. False where this user may not mount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Disk:
    """A clone on a disk of which one can run out."""

    def __init__(self, clone: Clone, *, is_mounted: bool) -> None:
        self.clone = clone
        self.is_mounted = is_mounted
        self._filler = clone.path / "filler"

    def fill(self) -> None:
        if not self.is_mounted:
            self.clone.before = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
            return
        with contextlib.suppress(OSError), open(self._filler, "ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)

    def free(self) -> None:
        self.clone.before = None
        self._filler.unlink(missing_ok=True)


@pytest.fixture(params=["a full file system", "a limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with contextlib.ExitStack() as stack:
        folder = tmp_path / "disk"
        ours = request.param != "a limit" and stack.enter_context(mounted(folder))
        yield Disk(new_clone(folder / "alice", tmp_path / "remote.git"), is_mounted=bool(ours))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return new_clone(tmp_path / "alice", tmp_path / "remote.git")


def assert_refused(clone: Clone, words: str) -> None:
    """Whatever would write says what is wrong and what to do, in one or two lines, and ends with 1."""
    for arguments in (["append", "note", LARGE], ["sync"], ["agent", "run", "--once", "--quiet"]):
        done = clone.run(*arguments, code=1)
        assert words in done.stderr and "gitcoord resume" in done.stderr, (arguments[:2], done.stderr)
        assert len(done.stderr.splitlines()) <= 2, done.stderr


def assert_goes_on(clone: Clone, acknowledged: list[str]) -> None:
    """What was acknowledged is in the ledger, each once, in its order; what was refused is not."""
    acknowledged.append(clone.append("after"))
    clone.run("sync")
    rows = clone.events()
    notes = [row["event"]["uid"] for row in rows if row["event"]["type"] == "note"]
    assert notes == acknowledged
    assert {row["level"] for row in rows} == {"sequenced"}
    assert (clone.home / "reserve").stat().st_size == RESERVE_BYTES


def test_a_full_disk_pauses_loses_nothing_and_goes_on(disk: Disk) -> None:
    clone = disk.clone
    acknowledged = [clone.append(f"{n} {LARGE}", "--no-sync") for n in range(3)]
    disk.fill()
    assert_refused(clone, "no space left on the disk" if disk.is_mounted else "larger than allowed")
    assert (clone.home / "paused").exists(), "the reserve made room for it"
    assert len(clone.events()) >= len(acknowledged), "reading goes on"
    assert "FAIL  paused" in clone.run("doctor", code=1).stdout
    assert "still paused" in clone.run("resume", code=1).stderr
    disk.free()
    assert "paused" in clone.run("append", "note", "not yet", code=1).stderr, "a person resumes, not the disk"
    assert "resumed" in clone.run("resume").stdout
    assert_goes_on(clone, acknowledged)


def test_a_disk_that_fills_before_a_sync_pauses_it(disk: Disk) -> None:
    clone = disk.clone
    acknowledged = [clone.append(f"{n} {os.urandom(9000).hex()}", "--no-sync") for n in range(3)]
    disk.fill()
    done = clone.run("sync", code=1)
    assert "gitcoord resume" in done.stderr and len(done.stderr.splitlines()) <= 2
    disk.free()
    clone.run("resume")
    assert_goes_on(clone, acknowledged)


def test_a_running_agent_pauses_says_so_once_and_goes_on(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as ours:
        disk = Disk(new_clone(tmp_path / "disk" / "alice", tmp_path / "remote.git"), is_mounted=ours)
        clone, output = disk.clone, tmp_path / "output"
        with clone.started("agent", "run", output=output) as runner:
            wait_until(lambda: b"leads term 1" in output.read_bytes(), what="a leader")
            disk.fill()
            clone.run("append", "note", LARGE + LARGE, code=1)
            wait_until(lambda: b"gitcoord resume" in output.read_bytes(), what="the pause to be told")
            disk.free()
            clone.run("resume")
            uid = clone.append("after", "--wait", "sequenced")
            assert runner.poll() is None
        said = output.read_text(encoding="utf-8")
        assert said.count("gitcoord resume") == 1 and "Traceback" not in said
        assert uid in [row["event"]["uid"] for row in clone.events()]


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[str]:
    """Nothing under `folder` can be written; yields how that is told."""
    bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True).returncode == 0
    if not bound:
        with forbidden(folder):
            yield "permission denied"
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield "the file system is read-only"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def forbidden(folder: Path) -> Iterator[None]:
    """Nobody may write under `folder`."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*")) if not path.is_symlink()}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_read_only_mount_pauses_loses_nothing_and_goes_on(clone: Clone) -> None:
    acknowledged = [clone.append(f"{n}", "--no-sync") for n in range(3)]
    with read_only(clone.path) as words:
        assert_refused(clone, words)
        assert "still paused" in clone.run("resume", code=1).stderr
        clone.run("status")
        assert words in clone.run("doctor", code=1).stdout
    clone.run("resume")
    assert_goes_on(clone, acknowledged)


def test_denied_permission_pauses_loses_nothing_and_goes_on(clone: Clone) -> None:
    acknowledged = [clone.append(f"{n}", "--no-sync") for n in range(3)]
    if os.geteuid() == 0:  # permission bits do not bind root, unless it gives up the right to pass them
        clone.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    with forbidden(clone.home):
        assert_refused(clone, "permission denied")
        assert len(clone.events()) >= 3
    clone.run("resume")
    assert_goes_on(clone, acknowledged)


def test_one_file_that_may_not_be_written_pauses_before_anything_is_acknowledged(clone: Clone) -> None:
    acknowledged = [clone.append(f"{n}", "--no-sync") for n in range(3)]
    if os.geteuid() == 0:
        clone.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    path = clone.home / "events.offline.log"
    path.chmod(0o444)
    assert_refused(clone, "permission denied")
    assert (clone.home / "paused").exists()
    assert "still paused: permission denied" in clone.run("resume", code=1).stderr
    path.chmod(0o644)
    clone.run("resume")
    assert_goes_on(clone, acknowledged)


def test_init_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    with read_only(folder) as words:
        done = Clone(folder).run("init", "--agent", "alice", code=1)
    assert words.split()[-1] in done.stderr.lower() and len(done.stderr.splitlines()) <= 2
