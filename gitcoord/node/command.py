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
from typing import IO, Protocol

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

    `words` as one text go to the shell. Standard error without `errors` is ours, and standard output without `output`.
    """

    def __init__(self, words: str | Sequence[str], *, given: bytes, environment: Mapping[str, str],
                 output: Output | None = None, errors: Output | None = None, folder: Path | None = None) -> None:
        with tempfile.TemporaryFile() as file:  # not a pipe: a command need not read it
            file.write(given)
            file.seek(0)
            self._process = subprocess.Popen(
                words, shell=isinstance(words, str), stdin=file, cwd=folder, env=environment, start_new_session=True,
                stdout=_our_errors() if output is None else subprocess.PIPE,
                stderr=None if errors is None else subprocess.PIPE,
            )
        self.floods = False  # it prints more than is meant to be read
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, taker), daemon=True)
            for pipe, taker in ((self._process.stdout, output), (self._process.stderr, errors)) if pipe and taker
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Of its process, and of its group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        if self.code is None:
            self._signal(signal.SIGTERM)

    def end(self, *, grace_s: float = 0.0) -> None:
        """End it and everything that it started in its group, which may outlive it. All its output has been taken."""
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

    def _read(self, pipe: IO[bytes], taker: Output) -> None:
        printed = 0
        with pipe, contextlib.suppress(OSError, ValueError):
            while chunk := os.read(pipe.fileno(), 65536):
                taker.take(chunk)
                printed += len(chunk)
                self.floods = self.floods or printed > taker.flood_bytes


def _our_errors() -> int:
    """Where what is not kept goes: beside our own log. Nowhere, where there is none."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        return subprocess.DEVNULL
