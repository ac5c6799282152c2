"""A user's command at work: one process group with bounded output, of which nothing is left when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

OUTPUT_BYTES_KEPT = 64 * 1024
FLOOD_BYTES = 1024 * 1024  # a command that prints more than any event holds is not going to stop by itself
READ_S = 0.2  # a process that left the group may hold the pipe open for ever
TERM_S = 1.0  # between the request to end and the end


class Output(Protocol):
    """Where the output of a command goes, from a thread that reads it."""

    flood_bytes: int  # a command that prints more is ended

    def take(self, chunk: bytes) -> None: ...


class Kept:
    """The first of the output."""

    flood_bytes = FLOOD_BYTES

    def __init__(self) -> None:
        self.bytes = bytearray()

    def take(self, chunk: bytes) -> None:
        self.bytes += chunk[:OUTPUT_BYTES_KEPT - len(self.bytes)]


class Command:
    """Started when made; raises OSError when it cannot be. Look at it with `code`, and `end` it in any case.

    `words` as one text go to the shell. With an `output`, what goes to standard error goes there as well if `errors`.
    """

    def __init__(self, words: str | Sequence[str], *, given: bytes, environment: Mapping[str, str],
                 output: Output | None = None, errors: bool = False, folder: Path | None = None) -> None:
        with tempfile.TemporaryFile() as file:  # not a pipe: a command need not read it
            file.write(given)
            file.seek(0)
            self._process = subprocess.Popen(
                words, shell=isinstance(words, str), stdin=file, cwd=folder, env=environment, start_new_session=True,
                stdout=_our_errors() if output is None else subprocess.PIPE,
                stderr=subprocess.STDOUT if errors else None,
            )
        self._output = output
        self._printed = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        if output is not None:
            self._reader.start()

    @property
    def pid(self) -> int:
        """Of its process, and of its group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    @property
    def floods(self) -> bool:
        return self._output is not None and self._printed > self._output.flood_bytes

    def ask_to_end(self) -> None:
        if self.code is None:
            self._signal(signal.SIGTERM)

    def end(self, *, grace_s: float = 0.0) -> None:
        """End it and everything that it started in its group, which may outlive it. All its output has been taken."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.wait()
        if self._reader.is_alive():
            self._reader.join(READ_S)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, number)
            else:
                self._process.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None and self._output is not None
        with self._process.stdout as pipe, contextlib.suppress(OSError, ValueError):
            while chunk := os.read(pipe.fileno(), 65536):
                self._output.take(chunk)
                self._printed += len(chunk)


def _our_errors() -> int:
    """Where what is not kept goes: beside our own log. Nowhere, where there is none."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        return subprocess.DEVNULL
