"""Shutdown: a request to stop may come from a signal, in the middle of anything, and ends every wait at once."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import IO

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopFlag:
    """A flag like `threading.Event`, but safe to set from a signal handler.

    An Event's lock is not reentrant: a signal that arrives inside its `wait` would wait for itself forever.
    """

    def __init__(self) -> None:
        self.at_once = False  # requested twice: end without a goodbye
        self._set = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # its `put` is documented as reentrant

    def set(self) -> None:
        """Request the stop, and end each `wait`. Safe in a signal handler."""
        self._set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Return whether the stop was requested."""
        return self._set

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until `set`. Return whether it is set."""
        if not self._set and seconds > 0:
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=seconds)
        return self._set

    def at_eof(self, stream: IO[bytes]) -> None:
        """Set the flag when the stream ends. A daemon thread reads it."""

        def read() -> None:
            while os.read(stream.fileno(), 4096):  # unbuffered: the buffer's lock, held at the exit, is fatal
                pass
            self.set()

        threading.Thread(target=read, daemon=True).start()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Set the flag at SIGTERM or Ctrl-C; a second signal raises KeyboardInterrupt, and skips the goodbye.

        In any other thread than the main thread, do nothing: only that one gets signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._set:
            self.at_once = True
            raise KeyboardInterrupt
        self.set()
