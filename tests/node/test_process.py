"""Starting a command: whatever the operating system refuses is one error, and nothing is left running."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from gitcoord.node.process import LINE_BYTES_MAX, CannotStart, CapturedOutput, LineOutput, UserCommand
from tests.waiting import wait_until


def start(words: Any = "true", folder: Path | None = None, **environment: str) -> UserCommand:
    return UserCommand(
        words,
        stdin=b"",
        environment={**os.environ, **environment},
        output=CapturedOutput(),
        errors=CapturedOutput(),
        folder=folder,
    )


@pytest.mark.parametrize(
    "words, environment, reason",
    [
        ("true", {"GITCOORD_TASK_TITLE": "a\0b"}, "GITCOORD_TASK_TITLE holds a NUL character"),
        (
            "true",
            {"GITCOORD_TASK_TITLE": "a\ud800b"},
            "GITCOORD_TASK_TITLE holds characters that this system cannot encode",
        ),
        ("echo \0", {}, "the command holds a NUL character"),
        (["echo", "\ud800"], {}, "the command holds characters that this system cannot encode"),
        ("true", {"TITLE": "x" * 10_000_000}, "are longer than this system permits"),
        (["true", "x" * 10_000_000], {}, "are longer than this system permits"),
        (["/no/such/command"], {}, "No such file or directory: /no/such/command"),
        (["/"], {}, "Permission denied"),
        ("true", {"A=B": "x"}, "illegal environment variable name"),
    ],
)
def test_what_cannot_be_started_says_why_and_no_value(words: Any, environment: dict[str, str], reason: str) -> None:
    with pytest.raises(CannotStart, match=reason) as told:
        start(words, **environment)
    assert len(str(told.value)) < 300


def test_a_file_that_is_no_program_a_folder_that_is_gone_and_one_that_may_not_be_entered(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\x7fELF no program")
    (tmp_path / "data").chmod(0o755)
    with pytest.raises(CannotStart, match="Exec format error"):
        start([str(tmp_path / "data")])
    with pytest.raises(CannotStart, match="its folder .*gone is gone"):
        start(folder=tmp_path / "gone")
    with pytest.raises(CannotStart):
        start(folder=tmp_path / "data")


@pytest.mark.parametrize(
    "place, wrong",
    [
        ("subprocess.Popen", OSError(errno.EAGAIN, "Resource temporarily unavailable")),
        ("subprocess.Popen", OSError(errno.ENOMEM, "Cannot allocate memory")),
        ("subprocess.Popen", MemoryError()),
        ("tempfile.TemporaryFile", OSError(errno.ENOSPC, "No space left on device")),
        ("tempfile.TemporaryFile", FileNotFoundError(errno.ENOENT, "No usable temporary directory found")),
    ],
)
def test_a_machine_that_is_full_is_a_reason_too(monkeypatch: pytest.MonkeyPatch, place: str, wrong: Exception) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise wrong

    monkeypatch.setattr(place, refuse)
    with pytest.raises(CannotStart):
        start()


def test_a_command_whose_output_nobody_can_read_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(CannotStart, match="can't start new thread"):
        start(f"echo $$ > {tmp_path}/pid; exec sleep 100")
    monkeypatch.undo()
    known = (tmp_path / "pid").read_text().strip() if (tmp_path / "pid").exists() else ""
    wait_until(lambda: not known or not psutil.pid_exists(int(known)), what="its end")


def test_what_is_told_of_an_output_is_lines_of_a_bounded_length() -> None:
    lines: list[str] = []
    told = LineOutput(lines.append)
    for chunk in (b"one\r\ntw", b"o\n\n", b"\xff\n", b"x" * LINE_BYTES_MAX * 3, b"rest"):
        told.take(chunk)
    told.flush()
    assert lines[:3] == ["one", "two", "\ufffd"] and "".join(lines[3:]) == "x" * LINE_BYTES_MAX * 3 + "rest"
    assert max(map(len, lines)) == LINE_BYTES_MAX
