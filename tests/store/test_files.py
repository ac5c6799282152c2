"""Files: whole or not at all, synced before anyone is told, closed to others where secret, paused on trouble."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from gitcoord.core.errors import Paused
from gitcoord.store import files
from tests.store.drafts import Crash, FaultyOs


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_a_secret_is_closed_to_others_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.write_durably(tmp_path / "alice.key", b"secret", mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "alice.key").stat().st_mode) == 0o600


def test_a_secret_does_not_pass_through_an_open_file_that_a_crash_left(tmp_path: Path) -> None:
    left = tmp_path / "alice.key.new"
    left.write_bytes(b"")
    left.chmod(0o666)
    reader = os.open(left, os.O_RDONLY)
    files.write_durably(tmp_path / "alice.key", b"secret", mode=0o600)
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert stat.S_IMODE((tmp_path / "alice.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
@pytest.mark.parametrize("granted, mode", [(0o755, 0o644), (0o700, 0o600), (0o2770, 0o660), (0o777, 0o664)])
def test_without_a_mode_the_folder_decides_and_no_umask(tmp_path: Path, umask: int, granted: int, mode: int) -> None:
    tmp_path.chmod(granted)
    before = os.umask(umask)
    try:
        files.write_durably(tmp_path / "durably", b"{}")
        files.write_quickly(tmp_path / "quickly", b"{}")
        files.append_durably(tmp_path / "appended", b"{}")
        files.make_folder(tmp_path / "folder")
        files.write_durably(tmp_path / "a page", b"{}", umask=True)
    finally:
        os.umask(before)
    for name in ("durably", "quickly", "appended"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode, name
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == granted & 0o2775
    assert stat.S_IMODE((tmp_path / "a page").stat().st_mode) == 0o666 & ~umask


def test_what_lies_beside_a_file_is_not_written_through(tmp_path: Path) -> None:
    precious, beside = tmp_path / "precious", tmp_path / "page.md.new"
    precious.write_text("mine")
    for put in (beside.symlink_to, beside.hardlink_to):
        put(precious)
        files.write_durably(tmp_path / "page.md", b"new")
        assert precious.read_text() == "mine" and (tmp_path / "page.md").read_text() == "new"
    os.mkfifo(beside)
    files.write_durably(tmp_path / "page.md", b"newer")
    (tmp_path / "log").symlink_to(precious)
    with pytest.raises(OSError):
        files.append_durably(tmp_path / "log", b"added")
    assert precious.read_text() == "mine" and (tmp_path / "page.md").read_text() == "newer"


def test_what_is_no_regular_file_or_too_large_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open one waits for a writer
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(b"x" * 11)
    for name in ("pipe", "device", "large", "."):
        with pytest.raises(OSError):
            files.read_regular(tmp_path / name, bytes_max=10)
    assert files.read_regular(tmp_path / "large", bytes_max=11) == b"x" * 11


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
def test_a_replaced_file_is_the_old_or_the_new_one(
    tmp_path: Path, power_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tip"
    for step in range(1, 20):
        path.write_bytes(b"old")
        disk = FaultyOs(step, power_cut=power_cut)
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", disk)
            try:
                files.write_durably(path, b"the new one")
            except Crash:
                disk.cut_power()
        assert path.read_bytes() in (b"old", b"the new one")
        if not disk.crashed:
            assert path.read_bytes() == b"the new one"
            return
    raise AssertionError("never finished")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_failed_append_leaves_the_file_as_it_was(tmp_path: Path, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"acknowledged\n")
    for step in range(1, 20):
        disk = FaultyOs(step, error=error)
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", disk)
            try:
                files.append_durably(path, b"not acknowledged\n")
            except OSError as wrong:
                assert wrong.errno == error
        if disk.hit is None:
            assert path.read_bytes() == b"acknowledged\nnot acknowledged\n"
            return
        assert path.read_bytes() == b"acknowledged\n"
    raise AssertionError("never finished")


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data)[:3]))
    files.write_durably(tmp_path / "file", b"0123456789")
    files.append_durably(tmp_path / "file", b"abcdef")
    assert (tmp_path / "file").read_bytes() == b"0123456789abcdef"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "the disk reports an error"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EFBIG, "the file would be larger than allowed here"),
    ],
)
def test_disk_trouble_pauses_with_the_remedy(tmp_path: Path, number: int, words: str) -> None:
    files.keep_reserve(tmp_path)
    told = f"{words}.*nothing acknowledged is lost.*gitcoord resume"
    with pytest.raises(Paused, match=told), files.pausing(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / "file"))
    assert not (tmp_path / "reserve").exists(), "its room was needed to write the pause down"
    with pytest.raises(Paused, match=f"paused: {words}.*gitcoord resume"):
        files.check_not_paused(tmp_path)
    assert words in (files.resume(tmp_path) or "")
    files.check_not_paused(tmp_path)
    assert (tmp_path / "reserve").stat().st_size == files.RESERVE_BYTES


def test_other_errors_are_not_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.pausing(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "no such file")
    files.check_not_paused(tmp_path)


def test_a_pause_that_the_private_store_met_is_noted_once(tmp_path: Path) -> None:
    with pytest.raises(Paused, match="gitcoord resume"), files.pausing(tmp_path), files.pausing(tmp_path):
        raise Paused("cannot write to the store")
    assert (tmp_path / "paused").read_text(encoding="utf-8") == "cannot write to the store\n"
    with pytest.raises(Paused) as told, files.pausing(tmp_path):
        files.check_not_paused(tmp_path)
    assert str(told.value).count("gitcoord resume") == 1


def test_resume_stays_paused_while_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "paused").write_text("no space left on the disk\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", FaultyOs(2, error=errno.ENOSPC))
        with pytest.raises(Paused, match="still paused: no space left.*gitcoord resume"):
            files.resume(tmp_path)
    assert files.paused(tmp_path) == "no space left on the disk"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["paused"]
    assert files.resume(tmp_path) == "no space left on the disk"
    assert files.resume(tmp_path) is None


def test_write_quickly_leaves_nothing_behind_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "progress.json").mkdir()  # cannot be replaced
    with pytest.raises(OSError):
        files.write_quickly(tmp_path / "progress.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]
