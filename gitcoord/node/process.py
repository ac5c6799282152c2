"""A user's command: one process group with bounded output, of which no process is left at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from gitcoord.core.errors import GitcoordError

OUTPUT_BYTES_KEPT = 64 * 1024
LINE_BYTES_MAX = 8 * 1024  # of one line of a log
FLOOD_BYTES = 1024 * 1024  # far more than any event holds: such a command prints without end
READ_S = 0.2  # to read on after the end: a process that left the group may hold the pipe open forever
TERM_S = 1.0  # between the request to end and the kill


class Output(Protocol):
    """A sink for a command's output, called from a thread that reads it."""

    flood_bytes: int  # a command that prints more `floods`

    def take(self, chunk: bytes) -> None:
        """Take the next part of the output."""


class CapturedOutput:
    """Keeps the first OUTPUT_BYTES_KEPT bytes of the output."""

    flood_bytes = FLOOD_BYTES

    def __init__(self) -> None:
        self.bytes = bytearray()

    def take(self, chunk: bytes) -> None:
        self.bytes += chunk[: OUTPUT_BYTES_KEPT - len(self.bytes)]


class LineOutput:
    """Passes each line of the output to `tell`, which has to make it safe to show."""

    flood_bytes = 64 * 1024 * 1024  # a command may take an hour, and report its progress

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._line = bytearray()

    def take(self, chunk: bytes) -> None:
        for part in chunk.splitlines(keepends=True):
            self._line += part
            if part.endswith(b"\n") or len(self._line) > LINE_BYTES_MAX:
                self.flush()

    def flush(self) -> None:
        """Pass on a last line that has no line end."""
        while self._line.strip():
            self._tell(self._line[:LINE_BYTES_MAX].decode("utf-8", "replace").rstrip("\r\n"))
            del self._line[:LINE_BYTES_MAX]
        self._line.clear()


class CannotStart(GitcoordError):
    """The operating system refused to start a command. The reason is one line, and shows no argument or variable."""


class UserCommand:
    """A running command. Poll it with `code`, and call `end` in any case. Raise CannotStart if it cannot be started.

    The shell runs `args` that are one text. The command's output reaches ours only through the two sinks.
    """

    def __init__(
        self,
        args: str | Sequence[str],
        *,
        stdin: bytes,
        environment: Mapping[str, str],
        output: Output,
        errors: Output,
        folder: Path | None = None,
    ) -> None:
        self.floods = False  # it printed more than a sink permits
        _check(args, environment)
        try:
            with tempfile.TemporaryFile() as file:  # not a pipe: a command need not read it
                file.write(stdin)
                file.seek(0)
                self._process = subprocess.Popen(
                    args,
                    shell=isinstance(args, str),
                    stdin=file,
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
        # Besides OSError: a NUL or a lone surrogate raises ValueError, a failure in the forked child SubprocessError.
        except (OSError, ValueError, subprocess.SubprocessError, MemoryError) as wrong:
            raise CannotStart(_reason(wrong, folder)) from wrong
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, sink), daemon=True)
            for pipe, sink in ((self._process.stdout, output), (self._process.stderr, errors))
            if pipe
        ]
        try:
            for reader in self._readers:
                reader.start()
        except (RuntimeError, MemoryError) as wrong:  # without a thread, nothing would read the output
            self._readers = [reader for reader in self._readers if reader.ident is not None]
            self.end()
            for pipe in filter(None, (self._process.stdout, self._process.stderr)):
                pipe.close()
            raise CannotStart(_reason(wrong, folder)) from wrong

    @property
    def pid(self) -> int:
        """Return the id of the process, which is also that of its group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Return the exit status, negative for a signal; None while the command runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Send SIGTERM to the group, if the command still runs."""
        if self.code is None:
            self._signal(signal.SIGTERM)

    def end(self, *, grace_s: float = 0.0) -> None:
        """Wait up to `grace_s` for the command, then kill its whole group. Return when the sinks have its output."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.wait()
        for reader in self._readers:
            reader.join(READ_S)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, number)
            else:
                self._process.kill()

    def _read(self, pipe: IO[bytes], sink: Output) -> None:
        printed = 0
        with pipe, contextlib.suppress(OSError, ValueError):
            while chunk := os.read(pipe.fileno(), 65536):
                sink.take(chunk)
                printed += len(chunk)
                self.floods = self.floods or printed > sink.flood_bytes


def _check(args: str | Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise CannotStart for a text that the system would refuse, with the name of the variable that has it."""
    texts = [("the command", word) for word in ([args] if isinstance(args, str) else args)]
    for name, text in (*texts, *environment.items()):
        if "\0" in text:
            raise CannotStart(f"{name} holds a NUL character, which cannot be passed to a command")
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise CannotStart(f"{name} holds characters that this system cannot encode") from None


def _reason(wrong: BaseException, folder: Path | None) -> str:
    if isinstance(wrong, OSError):
        if wrong.errno == errno.E2BIG:
            return "its arguments and its environment are longer than this system permits"
        if wrong.errno == errno.EAGAIN:
            return f"this user may start no more processes ({wrong.strerror}): end some, or raise `ulimit -u`"
        if folder is not None and not folder.is_dir():
            return f"its folder {folder} is gone"
        return f"{wrong.strerror or wrong}" + (f": {wrong.filename}" if wrong.filename else "")
    return f"{type(wrong).__name__}: {wrong}"
