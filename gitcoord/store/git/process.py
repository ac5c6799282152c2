"""One run of git: it ends in time, or its whole process group is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

OUTPUT_BYTES_MAX = 1024 * 1024  # a hook may print forever; a push of 1000 refs prints 0.1 MB
TERMINATE_S = 0.5  # git removes its lock files when it is told to stop, not when it is killed
LINGER_S = 0.2  # to read on: ssh's ControlPersist master keeps standard error open long after git has ended


@dataclass(frozen=True)
class Bounds:
    """The most that one process, git or a child of it, may use. (On Windows only its time is bounded.)"""

    file_bytes: int  # of one file that it writes, such as a pack
    memory_bytes: int  # git unpacks a delta in memory, and a delta of a few bytes may unpack to gigabytes
    cpu_s: int | None = None

    def applied(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` within these bounds."""
        if os.name == "nt":
            return list(command)
        limits = [f"-f {self.file_bytes // 512}", f"-d {self.memory_bytes // 1024}"]
        limits += [f"-t {self.cpu_s}"] if self.cpu_s is not None else []
        set_all = "".join(f"ulimit {one} 2>/dev/null; " for one in limits)  # a stricter limit of the user's stays
        return ["/bin/sh", "-c", f'{set_all}exec "$@"', "sh", *command]


@dataclass(frozen=True)
class GitResult:
    """The exit status and output of git; `status` is not 0 if it was killed."""

    status: int
    stdout: str
    stderr: str
    timed_out: bool = False


def finish(process: subprocess.Popen[bytes], timeout_s: float, meanwhile: Callable[[], None]) -> GitResult:
    """Wait for a process that leads a session of its own, and return its result. Its output is kept within bounds.

    `meanwhile` is called first. `communicate(timeout=…)` would wait until the pipes are closed, which a background ssh
    does not do, and `kill()` would reach git alone, not the ssh or git-remote-https that hangs.
    """
    assert process.stdout is not None and process.stderr is not None
    readers = [_PipeReader(process.stdout.fileno()), _PipeReader(process.stderr.fileno())]
    late = threading.Event()

    def stop() -> None:
        late.set()
        _signal_group(process, hard=False)
        again = threading.Timer(TERMINATE_S, _signal_group, (process,), {"hard": True})
        again.daemon = True
        again.start()

    watchdog = threading.Timer(timeout_s, stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        meanwhile()
        status = process.wait()
    except BaseException:
        _signal_group(process, hard=True)
        raise
    finally:
        watchdog.cancel()
    if late.is_set():
        _signal_group(process, hard=True)  # children of git that outlived it
    for reader in readers:
        reader.join(LINGER_S)
    out, err = (bytes(reader.kept).decode("utf-8", "replace") for reader in readers)
    return GitResult(status if not late.is_set() else status or 124, out, err, late.is_set())


def works_on(store: Path) -> bool:
    """Return whether a git writes to the repository at `store` now, perhaps for a process that was killed."""
    import psutil

    for process in psutil.process_iter():
        try:
            if process.name().startswith("git") and process.environ().get("GIT_DIR") == str(store):
                if "cat-file" not in process.cmdline():  # that one only reads
                    return True
        except psutil.Error:  # it has ended, or it is another user's
            continue
    return False


class _PipeReader(threading.Thread):
    """Reads a pipe to its end through a descriptor of its own, and keeps the first OUTPUT_BYTES_MAX bytes."""

    def __init__(self, fd: int) -> None:
        super().__init__(daemon=True)
        self.kept = bytearray()
        self._fd = os.dup(fd)
        self.start()

    def run(self) -> None:
        try:
            while chunk := os.read(self._fd, 65536):
                self.kept += chunk[: OUTPUT_BYTES_MAX - len(self.kept)]
        finally:
            os.close(self._fd)


def _signal_group(process: subprocess.Popen[bytes], *, hard: bool) -> None:
    try:
        if os.name == "nt":
            process.kill()
        else:
            # The group may outlive its leader. Its id is not used again meanwhile.
            os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        pass
